#!/usr/bin/env bash
# A CUDA 13.0 toolkit from the wheels of PyPI, for machines that have none: with or without a card.
#
#   source deploy/cuda-toolkit.sh [FOLDER]      about 1.1 GB, in ~/.cache/scotoma-cuda-13.0 unless said otherwise
#   make cuda
#
# It sets what candle's build scripts read (CUDA_HOME, CUDA_COMPUTE_CAP: 90 unless set, the Hopper cards), where the linker looks, and,
# with LD_LIBRARY_PATH, where the program finds cuBLAS and cuRAND. libcuda.so.1 comes with the driver; where there is no driver an empty
# library of that name is linked against, and never loaded.

_scotoma_cuda() {
    local folder=${1:-$HOME/.cache/scotoma-cuda-13.0} root library
    if [ ! -e "$folder/complete" ]; then
        python3 -m venv "$folder/venv" || return
        "$folder/venv/bin/pip" install -q --no-deps \
            nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-nvrtc==13.0.88 \
            nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35 || return
        root=$(echo "$folder"/venv/lib/python3*/site-packages/nvidia/cu13)
        ln -sfn "$root" "$folder/toolkit"
        ln -sfn lib "$root/lib64"
        for library in "$root"/lib/lib*.so.*; do
            ln -sf "$(basename "$library")" "${library%.so.*}.so"
        done
        mkdir -p "$root/lib/stubs"
        # Every entry point that cuda.h names.
        grep -ohE '\bcu[A-Z][A-Za-z0-9]+(_v[0-9]+|_ptsz|_ptds)?\b' "$root/include/cuda.h" | sort -u |
            sed 's/.*/void &(void) {}/' | cc -w -x c -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$root/lib/stubs/libcuda.so" - || return
        touch "$folder/complete"
    fi
    export CUDA_HOME=$folder/toolkit CUDA_PATH=$folder/toolkit CUDA_ROOT=$folder/toolkit
    export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}
    export PATH=$CUDA_HOME/bin:$PATH
    export LD_LIBRARY_PATH=$CUDA_HOME/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }-L native=$CUDA_HOME/lib -L native=$CUDA_HOME/lib/stubs"
}
_scotoma_cuda "$@"
