// What is done row by row: norms, rotary embeddings, activations, the likeliest token, keys that are
// put into slots. Sums are f32 and go in one order, whatever else a call holds.

#include <cmath>

#include "half.cuh"

constexpr int THREADS = 256;

// The sum over a block, in a fixed order; every thread gets it.
__device__ inline float block_sum(float x) {
    __shared__ float parts[THREADS / 32];
#pragma unroll
    for (int step = 16; step; step /= 2) x += __shfl_xor_sync(~0u, x, step);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0;
#pragma unroll
    for (int i = 0; i < THREADS / 32; i++) sum += parts[i];
    return sum;
}

// total = x + delta (where there is one, rounded to T); y = norm(total) weight + bias. RMS norm without
// `is_layer`. One block a row; width: a multiple of 8.
template <typename T, typename W>
__global__ void __launch_bounds__(THREADS) norm(const T* x, const T* delta, const W* weight, const W* bias, T* total, T* y, int width, float eps,
                                                int is_layer) {
    const long long first = (long long)blockIdx.x * width;
    extern __shared__ float row[];
    release_next();
    await_previous();
    float sum = 0;
    for (int i = threadIdx.x * 8; i < width; i += THREADS * 8) {
        Eight<T> a = *reinterpret_cast<const Eight<T>*>(x + first + i);
        if (delta) {
            Eight<T> b = *reinterpret_cast<const Eight<T>*>(delta + first + i);
#pragma unroll
            for (int j = 0; j < 8; j++) a.at[j] = from_float<T>(to_float(a.at[j]) + to_float(b.at[j]));
            *reinterpret_cast<Eight<T>*>(total + first + i) = a;
        }
#pragma unroll
        for (int j = 0; j < 8; j++) {
            float value = to_float(a.at[j]);
            row[i + j] = value;
            sum += is_layer ? value : value * value;
        }
    }
    float mean = 0, square = block_sum(sum) / width;
    if (is_layer) {
        mean = square;
        float spread = 0;
        for (int i = threadIdx.x * 8; i < width; i += THREADS * 8)
#pragma unroll
            for (int j = 0; j < 8; j++) spread += (row[i + j] - mean) * (row[i + j] - mean);
        square = block_sum(spread) / width;
    }
    const float factor = rsqrtf(square + eps);
    for (int i = threadIdx.x * 8; i < width; i += THREADS * 8) {
        Eight<T> out;
#pragma unroll
        for (int j = 0; j < 8; j++) {
            float value = (row[i + j] - mean) * factor * to_float(weight[i + j]);
            out.at[j] = from_float<T>(bias ? value + to_float(bias[i + j]) : value);
        }
        *reinterpret_cast<Eight<T>*>(y + first + i) = out;
    }
}

template <typename T, typename W>
static int launch_norm(const void* x, const void* delta, const void* weight, const void* bias, void* total, void* y, int rows, int width, float eps,
                       int is_layer, cudaStream_t stream) {
    return launch_early(norm<T, W>, rows, THREADS, width * sizeof(float), stream, static_cast<const T*>(x), static_cast<const T*>(delta),
                        static_cast<const W*>(weight), static_cast<const W*>(bias), static_cast<T*>(total), static_cast<T*>(y), width, eps, is_layer);
}

// `weight` and `bias` are f32 where `is_f32`, else of x's type; `delta`, `total` and `bias` may be null.
// At most 32,768 numbers a row.
extern "C" int scotoma_norm(const void* x, const void* delta, const void* weight, const void* bias, void* total, void* y, int rows, int width, float eps,
                            int is_layer, int is_f32, int is_bf16, cudaStream_t stream) {
    auto launch = is_bf16 ? (is_f32 ? launch_norm<__nv_bfloat16, float> : launch_norm<__nv_bfloat16, __nv_bfloat16>)
                          : (is_f32 ? launch_norm<__half, float> : launch_norm<__half, __half>);
    return launch(x, delta, weight, bias, total, y, rows, width, eps, is_layer, stream);
}

// Numbers that a thread moves at once.
template <typename T, int N>
struct __align__(N * sizeof(T)) Several {
    T at[N];
};

// Takes queries, keys and values out of joined rows (R, (H + 2 K) Dh), and rotates the first `rotated`
// dimensions of each query and key by the row's angle. N columns a thread, which divide half of what is
// rotated and the width of a head.
template <typename T, int N>
__global__ void __launch_bounds__(THREADS) rotate(const T* joined, const T* cosines, const T* sines, T* q, T* k, T* v, int rows, int heads, int kv_heads,
                                                  int width, int rotated) {
    const int columns = (heads + 2 * kv_heads) * width, half = rotated / 2;
    const long long at = ((long long)blockIdx.x * THREADS + threadIdx.x) * N;
    release_next();
    await_previous();
    const long long row = at / columns;
    if (row >= rows) return;
    const int head = at % columns / width, column = at % columns % width;
    const T* from = joined + row * columns + head * width;
    using Part = Several<T, N>;
    Part own = *reinterpret_cast<const Part*>(from + column);
    if (head < heads + kv_heads && column < rotated) {
        const bool is_first = column < half;
        const long long turn = row * half + (is_first ? column : column - half);
        const Part other = *reinterpret_cast<const Part*>(from + (is_first ? column + half : column - half));
        const Part cosine = *reinterpret_cast<const Part*>(cosines + turn), sine = *reinterpret_cast<const Part*>(sines + turn);
#pragma unroll
        for (int i = 0; i < N; i++) {
            float partner = is_first ? -to_float(other.at[i]) : to_float(other.at[i]);
            own.at[i] = from_float<T>(to_float(own.at[i]) * to_float(cosine.at[i]) + partner * to_float(sine.at[i]));
        }
    }
    T* to = head < heads              ? q + (row * heads + head) * width
            : head < heads + kv_heads ? k + (row * kv_heads + head - heads) * width
                                      : v + (row * kv_heads + head - heads - kv_heads) * width;
    *reinterpret_cast<Part*>(to + column) = own;
}

template <typename T, int N>
static int launch_rotate(const void* joined, const void* cosines, const void* sines, void* q, void* k, void* v, int rows, int heads, int kv_heads, int width,
                         int rotated, cudaStream_t stream) {
    long long threads = (long long)rows * (heads + 2 * kv_heads) * width / N;
    return launch_early(rotate<T, N>, (threads + THREADS - 1) / THREADS, THREADS, 0, stream, static_cast<const T*>(joined), static_cast<const T*>(cosines),
                        static_cast<const T*>(sines), static_cast<T*>(q), static_cast<T*>(k), static_cast<T*>(v), rows, heads, kv_heads, width, rotated);
}

// `cosines` and `sines` (R, rotated / 2); rotated 0: nothing is rotated. The width of a head and half of
// what is rotated are even.
extern "C" int scotoma_rotate(const void* joined, const void* cosines, const void* sines, void* q, void* k, void* v, int rows, int heads, int kv_heads,
                              int width, int rotated, int is_bf16, cudaStream_t stream) {
    const bool is_wide = width % 8 == 0 && rotated / 2 % 8 == 0;
    auto launch = is_bf16 ? (is_wide ? launch_rotate<__nv_bfloat16, 8> : launch_rotate<__nv_bfloat16, 2>)
                          : (is_wide ? launch_rotate<__half, 8> : launch_rotate<__half, 2>);
    return launch(joined, cosines, sines, q, k, v, rows, heads, kv_heads, width, rotated, stream);
}

// By the numbers of `nn::Activation`.
__device__ inline float activation(int kind, float x) {
    switch (kind) {
        case 0: return 0.5f * x * (1 + erff(x * 0.70710678118654752f));
        case 1: return 0.5f * x * (1 + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
        case 2: return x / (1 + __expf(-1.702f * x));
        case 3: return x / (1 + __expf(-x));
        default: return fmaxf(x, 0);
    }
}

// y (R, F) = act(x (R, F)), or act(gate) up of joined rows x (R, 2 F) = [gate, up]. Eight columns a thread.
template <typename T>
__global__ void __launch_bounds__(THREADS) activate(const T* x, T* y, int width, int kind, int is_gated) {
    const int column = (blockIdx.x * THREADS + threadIdx.x) * 8;
    release_next();
    await_previous();
    if (column >= width) return;
    const T* from = x + (long long)blockIdx.y * (is_gated ? 2 * width : width) + column;
    Eight<T> out = *reinterpret_cast<const Eight<T>*>(from);
#pragma unroll
    for (int j = 0; j < 8; j++) out.at[j] = from_float<T>(activation(kind, to_float(out.at[j])));
    if (is_gated) {
        Eight<T> up = *reinterpret_cast<const Eight<T>*>(from + width);
#pragma unroll
        for (int j = 0; j < 8; j++) out.at[j] = from_float<T>(to_float(out.at[j]) * to_float(up.at[j]));
    }
    *reinterpret_cast<Eight<T>*>(y + (long long)blockIdx.y * width + column) = out;
}

// width: a multiple of 8.
extern "C" int scotoma_activate(const void* x, void* y, int rows, int width, int kind, int is_gated, int is_bf16, cudaStream_t stream) {
    // A grid has at most 65,535 rows of blocks.
    for (int first = 0; first < rows; first += 65535) {
        dim3 grid((width / 8 + THREADS - 1) / THREADS, rows - first < 65535 ? rows - first : 65535);
        long long in = (long long)first * (is_gated ? 2 * width : width), out = (long long)first * width;
        auto launch = [&](auto kernel, auto* type) {
            using T = decltype(type);
            return launch_early(kernel, grid, THREADS, 0, stream, (T)x + in, (T)y + out, width, kind, is_gated);
        };
        if (auto error = is_bf16 ? launch(activate<__nv_bfloat16>, (__nv_bfloat16*)nullptr) : launch(activate<__half>, (__half*)nullptr)) return error;
    }
    return 0;
}

// The likeliest entry of each row of x (R, V), the lowest among equals, and its log-probability: (R, 2).
// A row that is not finite has a log-probability that is not finite.
template <typename T>
__global__ void __launch_bounds__(THREADS) likeliest(const T* x, float* y, int width) {
    __shared__ float values[THREADS];
    __shared__ int places[THREADS];
    release_next();
    await_previous();
    const T* row = x + (long long)blockIdx.x * width;
    float highest = -INFINITY, poison = 0;
    int place = width;
    for (int i = threadIdx.x; i < width; i += THREADS) {
        float value = to_float(row[i]);
        // NaN minus NaN, infinity minus infinity: what is not finite stays in the sum.
        poison += value - value == 0 || value == -INFINITY ? 0 : NAN;
        if (value > highest) highest = value, place = i;
    }
    values[threadIdx.x] = highest, places[threadIdx.x] = place;
    for (int step = THREADS / 2; step; step /= 2) {
        __syncthreads();
        if (threadIdx.x < step) {
            float other = values[threadIdx.x + step];
            int other_place = places[threadIdx.x + step];
            if (other > values[threadIdx.x] || (other == values[threadIdx.x] && other_place < places[threadIdx.x]))
                values[threadIdx.x] = other, places[threadIdx.x] = other_place;
        }
    }
    __syncthreads();
    highest = values[0], place = places[0];
    float sum = poison;
    for (int i = threadIdx.x; i < width; i += THREADS) sum += expf(to_float(row[i]) - highest);
    sum = block_sum(sum);
    if (threadIdx.x == 0) y[blockIdx.x * 2] = place, y[blockIdx.x * 2 + 1] = -logf(sum);
}

extern "C" int scotoma_likeliest(const void* x, void* y, int rows, int width, int is_bf16, cudaStream_t stream) {
    if (is_bf16) return launch_early(likeliest<__nv_bfloat16>, rows, THREADS, 0, stream, static_cast<const __nv_bfloat16*>(x), static_cast<float*>(y), width);
    return launch_early(likeliest<__half>, rows, THREADS, 0, stream, static_cast<const __half*>(x), static_cast<float*>(y), width);
}

// Copies keys and values (n, K, Dh), 16 bits each, to strided places.
__global__ void __launch_bounds__(THREADS) place_keys(const uint4* k, const uint4* v, uint4* keys, uint4* values, int count, int kv_heads, int chunks,
                                                      long long key_stride, long long head_stride) {
    release_next();
    await_previous();
    long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (i >= (long long)count * kv_heads * chunks) return;
    int chunk = i % chunks, head = i / chunks % kv_heads, key = i / chunks / kv_heads;
    long long to = key * key_stride + head * head_stride + chunk;
    (blockIdx.y ? values : keys)[to] = (blockIdx.y ? v : k)[i];
}

// Strides are elements; the width of a head is a multiple of 8.
extern "C" int scotoma_place_keys(const void* k, const void* v, void* keys, void* values, int count, int kv_heads, int width, long long key_stride,
                                  long long head_stride, cudaStream_t stream) {
    long long total = (long long)count * kv_heads * (width / 8);
    return launch_early(place_keys, dim3((total + THREADS - 1) / THREADS, 2), THREADS, 0, stream, static_cast<const uint4*>(k),
                        static_cast<const uint4*>(v), static_cast<uint4*>(keys), static_cast<uint4*>(values), count, kv_heads, width / 8, key_stride / 8,
                        head_stride / 8);
}
