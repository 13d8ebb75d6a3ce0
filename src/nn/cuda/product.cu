// Products of few rows with a weight, y = x W^T + b: what decoding does. Memory sets the pace, so that
// a block streams 16 rows of the weight, all of K, through a ring that its four warps fill together.
//
// A sum goes through K in steps of 16 from the start to the end, as the library's kernels for many
// rows go when they do not split K. So a row has the same bits here and there; `bench` checks it.

#include "half.cuh"

constexpr int CHUNK = 256;  // of K, in a stage
constexpr int CHUNK_PITCH = CHUNK + 8;

// At most ROWS rows (a multiple of 8); warp i makes tiles i, i + 4, ... of 8 of them. Block j makes
// outputs OUTPUTS j to OUTPUTS (j + 1) - 1 (a multiple of 16). input: a multiple of 8. Shared memory:
// STAGES (OUTPUTS + ROWS) rows of CHUNK_PITCH elements.
template <typename T, int ROWS, int OUTPUTS, int STAGES>
__global__ void __launch_bounds__(128) few_rows(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ y,
                                                int rows, int outputs, int input) {
    constexpr int WARPS = 4, TILES = (ROWS / 8 + WARPS - 1) / WARPS, BANDS = OUTPUTS / 16;
    constexpr int LOADS = (OUTPUTS + ROWS) / WARPS, STAGE = (OUTPUTS + ROWS) * CHUNK_PITCH;
    extern __shared__ __align__(16) unsigned char shared[];
    T* ring = reinterpret_cast<T*>(shared);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first = blockIdx.x * OUTPUTS;
    const int chunks = (input + CHUNK - 1) / CHUNK;

    // A warp copies every fourth row of a stage, 16 bytes a lane.
    const T* sources[LOADS];
    unsigned inside = 0;
#pragma unroll
    for (int i = 0; i < LOADS; i++) {
        int row = warp + i * WARPS;
        bool is_row = row < OUTPUTS ? first + row < outputs : row - OUTPUTS < rows;
        sources[i] = (row < OUTPUTS ? weight + (long long)(first + row) * input : x + (long long)(row - OUTPUTS) * input) + lane * 8;
        if (is_row) inside |= 1u << i;
        else sources[i] = weight;
    }
    T* targets = ring + warp * CHUNK_PITCH + lane * 8;
    // Loads `from` to `to - 1` of a thread: first those of the weight, then those of x.
    auto copy = [&](int chunk, int stage, int from, int to) {
        bool is_column = chunk * CHUNK + lane * 8 < input;
#pragma unroll
        for (int i = 0; i < LOADS; i++) {
            bool is_inside = is_column && inside >> i & 1;
            if (i >= from && i < to)
                copy_async(targets + stage * STAGE + i * WARPS * CHUNK_PITCH, is_inside ? sources[i] + chunk * CHUNK : weight, is_inside);
        }
    };
    // The weight does not wait for the kernels that make x.
    release_next();
#pragma unroll
    for (int i = 0; i < STAGES - 1; i++)
        if (i < chunks) copy(i, i, 0, OUTPUTS / WARPS);
    await_previous();
#pragma unroll
    for (int i = 0; i < STAGES - 1; i++) {
        if (i < chunks) copy(i, i, OUTPUTS / WARPS, LOADS);
        commit();
    }
    int filled = STAGES - 1, stage_to_fill = STAGES - 1;
    auto load = [&]() {
        if (filled < chunks) copy(filled, stage_to_fill, 0, LOADS);
        commit();
        filled++;
        if (++stage_to_fill == STAGES) stage_to_fill = 0;
    };

    float sums[TILES][BANDS][4] = {};
    int stage = 0;
    for (int chunk = 0; chunk < chunks; chunk++) {
        wait<STAGES - 2>();
        __syncthreads();
        // Into the stage that everybody has left.
        load();
        const T* from = ring + stage * STAGE;
        if (++stage == STAGES) stage = 0;
        if (warp * 8 >= ROWS) continue;
        // What the last chunk lacks is 0, and adds nothing.
#pragma unroll
        for (int step = 0; step < CHUNK / 32; step++) {
            unsigned left[BANDS][4], right[BANDS][4];
#pragma unroll
            for (int band = 0; band < BANDS; band++) {
                load_matrices(left[band], from + (band * 16 + lane % 16) * CHUNK_PITCH + step * 32 + lane / 16 * 8);
                load_matrices(right[band], from + (band * 16 + lane % 16) * CHUNK_PITCH + step * 32 + 16 + lane / 16 * 8);
            }
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                unsigned b[4];
                load_matrices(b, from + (OUTPUTS + (t * WARPS + warp) * 8 + lane % 8) * CHUNK_PITCH + step * 32 + lane / 8 * 8);
#pragma unroll
                for (int band = 0; band < BANDS; band++) {
                    multiply<T>(sums[t][band], left[band], b[0], b[1]);
                    multiply<T>(sums[t][band], right[band], b[2], b[3]);
                }
            }
        }
    }
#pragma unroll
    for (int t = 0; t < TILES; t++) {
#pragma unroll
        for (int band = 0; band < BANDS; band++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int output = first + band * 16 + lane / 4 + i / 2 * 8, row = (t * WARPS + warp) * 8 + lane % 4 * 2 + i % 2;
                if (output < outputs && row < rows)
                    y[(long long)row * outputs + output] = from_float<T>(sums[t][band][i] + (bias ? to_float(bias[output]) : 0));
            }
        }
    }
}

template <typename T, int ROWS, int OUTPUTS, int STAGES>
static int launch_few_rows(const void* x, const void* weight, const void* bias, void* y, int rows, int outputs, int input, cudaStream_t stream) {
    constexpr int SHARED = STAGES * (OUTPUTS + ROWS) * CHUNK_PITCH * sizeof(T);
    return launch_early(few_rows<T, ROWS, OUTPUTS, STAGES>, (outputs + OUTPUTS - 1) / OUTPUTS, 128, SHARED, stream, static_cast<const T*>(x),
                        static_cast<const T*>(weight), static_cast<const T*>(bias), static_cast<T*>(y), rows, outputs, input);
}

template <typename T>
static int dispatch_few_rows(const void* x, const void* weight, const void* bias, void* y, int rows, int outputs, int input, cudaStream_t stream) {
    if (rows <= 8) return launch_few_rows<T, 8, 16, 6>(x, weight, bias, y, rows, outputs, input, stream);
    if (rows <= 16) return launch_few_rows<T, 16, 32, 4>(x, weight, bias, y, rows, outputs, input, stream);
    if (rows <= 32) return launch_few_rows<T, 32, 32, 4>(x, weight, bias, y, rows, outputs, input, stream);
    return launch_few_rows<T, 64, 32, 3>(x, weight, bias, y, rows, outputs, input, stream);
}

// y (rows, outputs) = x (rows, input) weight (outputs, input)^T + bias (outputs), which may be null; at
// most 64 rows. Returns a CUDA error, or 0.
extern "C" int scotoma_few_rows(const void* x, const void* weight, const void* bias, void* y, int rows, int outputs, int input, int is_bf16,
                                cudaStream_t stream) {
    return is_bf16 ? dispatch_few_rows<__nv_bfloat16>(x, weight, bias, y, rows, outputs, input, stream)
                   : dispatch_few_rows<__half>(x, weight, bias, y, rows, outputs, input, stream);
}
