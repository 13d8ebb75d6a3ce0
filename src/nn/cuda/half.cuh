// Numbers of half precision: conversions, asynchronous copies, and products on tensor cores.

#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T>
__device__ inline T from_float(float x);
template <>
__device__ inline float from_float(float x) { return x; }
template <>
__device__ inline __half from_float(float x) { return __float2half_rn(x); }
template <>
__device__ inline __nv_bfloat16 from_float(float x) { return __float2bfloat16_rn(x); }

// Rounds to the precision of T.
template <typename T>
__device__ inline float rounded(float x) { return to_float(from_float<T>(x)); }

// Two numbers in one register, the first one low.
template <typename T>
__device__ inline unsigned pack(float low, float high);
template <>
__device__ inline unsigned pack<__half>(float low, float high) {
    __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<unsigned*>(&pair);
}
template <>
__device__ inline unsigned pack<__nv_bfloat16>(float low, float high) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<unsigned*>(&pair);
}

// 2^x, to within 2 ulp; what is denormal is 0.
__device__ inline float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Eight numbers, as 16 bytes.
template <typename T>
struct __align__(16) Eight {
    T at[8];
};

// Lets the next kernel of the stream begin while this one runs; what it needs of this one it waits for.
__device__ inline void release_next() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Waits until the kernels before this one have ended, and what they wrote can be read. Every kernel
// that is launched by `launch_early` calls it before it touches anything but weights.
__device__ inline void await_previous() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Starts a copy of 16 bytes to shared memory; writes zeros where the source is not inside.
__device__ inline void copy_async(void* shared, const void* global, bool inside) {
    unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(inside ? 16 : 0));
}

// Closes a group of copies.
__device__ inline void commit() { asm volatile("cp.async.commit_group;"); }

// Waits until all but the last N groups have arrived.
template <int N>
__device__ inline void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N)); }

// Loads four matrices of 8 x 8; lane i names row i % 8 of matrix i / 8.
__device__ inline void load_matrices(unsigned (&to)[4], const void* shared) {
    unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from));
}

__device__ inline void load_transposed(unsigned (&to)[4], const void* shared) {
    unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from));
}

// sums (16 x 8) += a (16 x 16) b (16 x 8).
template <typename T>
__device__ inline void multiply(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
template <>
__device__ inline void multiply<__nv_bfloat16>(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ inline void multiply<__half>(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// What the card at hand has.
struct Card {
    int processors;
    size_t shared;  // bytes that a block may have
};

// Asks for the card of this thread's context; once, since all cards of a machine are taken for alike.
static const Card& this_card() {
    static const Card card = [] {
        int device = 0, processors = 1, shared = 0;
        cudaGetDevice(&device);
        cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
        return Card{processors, size_t(shared)};
    }();
    return card;
}

// Launches a kernel that may begin before the one before it has ended (cards from sm_90 on). Returns a
// CUDA error, or 0.
template <typename... Parameters, typename... Arguments>
static int launch_early(void (*kernel)(Parameters...), dim3 grid, int threads, int shared, cudaStream_t stream, Arguments... arguments) {
    // More than a kernel may have without being asked.
    if (shared > 40 << 10)
        if (auto error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared)) return error;
    cudaLaunchAttribute early;
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid, config.blockDim = dim3(threads), config.dynamicSmemBytes = shared, config.stream = stream;
    config.attrs = &early, config.numAttrs = 1;
    return cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}
