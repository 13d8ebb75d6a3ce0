// Attention of packed rows: one online softmax (Milakov and Gimelshein 2018; Dao 2023) for every row
// and head, in half precision with f32 sums.
//
// A tile is a range of (row, head) pairs of one sequence whose heads share keys (GQA). It walks over
// blocks of BLOCK_KEYS keys, counted from key 0 of the sequence. A block of which a row sees nothing
// changes no bit of that row's sums, and a row's products go through the same instructions in the same
// order wherever the row stands. So a row has the same bits alone, in company, in chunks, and when it
// decodes.

#include <cmath>

#include "half.cuh"

constexpr int BLOCK_KEYS = 64;
constexpr int KEY_TILES = BLOCK_KEYS / 8;
constexpr float MINUS_INFINITY = -INFINITY;
// exp(x) is computed as 2^(x log2 e).
constexpr float LOG2_E = 1.4426950408889634f;

// One sequence of a call, as `nn::attention_plan` lays it out.
struct Sequence {
    long long offset;  // elements from the start of the keys to key 0 of head 0, likewise of the values
    int first_row;     // in q and z
    int first_range;   // in the list of what rows see
    int rows;
    int count;  // of keys
};

// The pairs of a tile, from `first` on, counted as row * group + head of its sequence.
struct Tile {
    int sequence;
    int first;
    int first_key;  // keys before it are seen by no row of the tile
    int end_key;    // nor are those from here on
};

struct Call {
    const void* q;       // (R, H, Dh)
    const void* keys;    // strided
    const void* values;  // strided as the keys
    const Sequence* sequences;
    const Tile* tiles;
    const int2* visible;  // of each row, the first key that it sees, and the one behind its last
    void* z;              // (R, H, Dh)
    long long key_stride;   // elements from a key to the next one
    long long head_stride;  // elements from a head to the next one
    int heads;
    int kv_heads;
    int width;      // of a head; a multiple of 8
    float scale;    // of scores
    float softcap;  // bounds scores by softcap * tanh(score / softcap); 0: none
};

// Starts copies of BLOCK_KEYS rows to shared memory, WIDTH elements each; what is missing becomes 0.
template <typename T, int WIDTH, int THREADS>
__device__ inline void load_block(T* to, const T* from, long long stride, int rows, int width) {
    constexpr int PITCH = WIDTH + 8, CHUNKS = WIDTH / 8;
    if constexpr (THREADS % CHUNKS == 0) {
        // A thread keeps its column and walks down the rows.
        constexpr int STEP = THREADS / CHUNKS;
        int row = threadIdx.x / CHUNKS, column = threadIdx.x % CHUNKS * 8;
        const T* source = from + row * stride + column;
        T* target = to + row * PITCH + column;
        bool is_column = column < width;
#pragma unroll
        for (int i = 0; i < (BLOCK_KEYS + STEP - 1) / STEP; i++) {
            bool inside = is_column && row < rows;
            if (BLOCK_KEYS % STEP == 0 || row < BLOCK_KEYS) copy_async(target, inside ? source : from, inside);
            row += STEP, source += STEP * stride, target += STEP * PITCH;
        }
    } else {
        for (int i = threadIdx.x; i < BLOCK_KEYS * CHUNKS; i += THREADS) {
            int row = i / CHUNKS, column = i % CHUNKS * 8;
            bool inside = row < rows && column < width;
            copy_async(to + row * PITCH + column, inside ? from + row * stride + column : from, inside);
        }
    }
}

// One tile's place in the call.
template <typename T>
struct Place {
    Call call;
    Sequence own;
    Tile tile;
    int group, kv_head, pairs;

    __device__ explicit Place(const Call& call) : call(call), tile(call.tiles[blockIdx.x]) {
        own = call.sequences[tile.sequence];
        group = call.heads / call.kv_heads, kv_head = blockIdx.y, pairs = own.rows * group;
    }
    // The first element of a pair, in q and in z.
    __device__ long long element(int pair) const {
        long long row = own.first_row + pair / group;
        return (row * call.heads + kv_head * group + pair % group) * call.width;
    }
    __device__ const T* keys() const { return static_cast<const T*>(call.keys) + own.offset + kv_head * call.head_stride; }
    __device__ const T* values() const { return static_cast<const T*>(call.values) + own.offset + kv_head * call.head_stride; }
    __device__ int first_block() const { return tile.first_key / BLOCK_KEYS; }
    __device__ int end_block() const { return (tile.end_key + BLOCK_KEYS - 1) / BLOCK_KEYS; }
    __device__ int2 seen(int pair) const { return pair < pairs ? call.visible[own.first_range + pair / group] : make_int2(0, 0); }

    template <int WIDTH, int ROWS, int THREADS>
    __device__ void load_queries(T* to) const {
        const T* q = static_cast<const T*>(call.q);
        for (int i = threadIdx.x; i < ROWS * (WIDTH / 8); i += THREADS) {
            int row = i / (WIDTH / 8), column = i % (WIDTH / 8) * 8;
            bool inside = tile.first + row < pairs && column < call.width;
            copy_async(to + row * (WIDTH + 8) + column, q + (inside ? element(tile.first + row) + column : 0), inside);
        }
    }
    // Starts copies of the keys and values of a block.
    template <int WIDTH, int THREADS>
    __device__ void load(T* to_keys, T* to_values, int block) const {
        long long from = block * BLOCK_KEYS * call.key_stride;
        int rest = own.count - block * BLOCK_KEYS;
        load_block<T, WIDTH, THREADS>(to_keys, keys() + from, call.key_stride, rest, call.width);
        load_block<T, WIDTH, THREADS>(to_values, values() + from, call.key_stride, rest, call.width);
    }
    // Writes the means of a row of the tile: columns 8 t + 2 (lane % 4) and the next one.
    __device__ void store(int pair, int t, float left, float right) const {
        int column = t * 8 + threadIdx.x % 4 * 2;
        if (column < call.width) *reinterpret_cast<unsigned*>(static_cast<T*>(call.z) + element(pair) + column) = pack<T>(left, right);
    }
};

// The softmax of two rows of a tile, of which a thread holds two scores in eight each.
struct Softmax {
    int from[2], to[2];  // the keys that the rows see
    float highest[2] = {MINUS_INFINITY, MINUS_INFINITY}, total[2] = {};

    __device__ Softmax(int2 upper, int2 lower) : from{upper.x, lower.x}, to{upper.y, lower.y} {}

    // Turns the products of a block into weights, and returns what sums so far fade by.
    __device__ void step(float (&scores)[KEY_TILES][4], int block, float scale, float softcap, float (&fade)[2]) {
        const int lane = threadIdx.x % 32, first = block * BLOCK_KEYS;
        float factor = scale * LOG2_E;
        if (softcap > 0) {
            factor = LOG2_E;
#pragma unroll
            for (int t = 0; t < KEY_TILES; t++)
#pragma unroll
                for (int i = 0; i < 4; i++) scores[t][i] = softcap * tanhf(scores[t][i] * scale / softcap);
        }
        bool sees_all = max(from[0], from[1]) <= first && min(to[0], to[1]) >= first + BLOCK_KEYS;
        if (!sees_all) {
#pragma unroll
            for (int t = 0; t < KEY_TILES; t++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int key = first + t * 8 + lane % 4 * 2 + i % 2;
                    if (key < from[i / 2] || key >= to[i / 2]) scores[t][i] = MINUS_INFINITY;
                }
        }
        float base[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float above = highest[half];
#pragma unroll
            for (int t = 0; t < KEY_TILES; t++) above = fmaxf(above, fmaxf(scores[t][2 * half], scores[t][2 * half + 1]));
            above = fmaxf(above, __shfl_xor_sync(~0u, above, 1));
            above = fmaxf(above, __shfl_xor_sync(~0u, above, 2));
            // Rounded before they are compared: where nothing is higher, nothing fades, to the bit.
            const float before = __fmul_rn(highest[half], factor), now = __fmul_rn(above, factor);
            // A row that has seen no key yet has no highest score to count from.
            base[half] = above == MINUS_INFINITY ? 0 : now;
            fade[half] = power_of_two(__fsub_rn(before, base[half]));
            highest[half] = above;
            total[half] *= fade[half];
        }
#pragma unroll
        for (int t = 0; t < KEY_TILES; t++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                scores[t][i] = power_of_two(fmaf(scores[t][i], factor, -base[i / 2]));
                total[i / 2] += scores[t][i];
            }
    }

    // The factors that turn sums into means.
    __device__ void finish(float (&share)[2]) {
        for (int half = 0; half < 2; half++) {
            total[half] += __shfl_xor_sync(~0u, total[half], 1);
            total[half] += __shfl_xor_sync(~0u, total[half], 2);
            share[half] = total[half] > 0 ? 1 / total[half] : 0;
        }
    }
};

// Products of 16 queries and the keys of tiles `first` to `first + TILES - 1`.
template <typename T, int WIDTH, int TILES>
__device__ inline void score(float (&scores)[TILES][4], const T* queries, const T* keys, int first) {
    constexpr int PITCH = WIDTH + 8;
    const int lane = threadIdx.x % 32;
    // Queries are loaded again for each pair of tiles: the other order measured a tenth slower.
#pragma unroll
    for (int t = 0; t < TILES; t += 2) {
#pragma unroll
        for (int step = 0; step < WIDTH / 16; step++) {
            unsigned a[4], b[4];
            load_matrices(a, queries + lane % 16 * PITCH + step * 16 + lane / 16 * 8);
            load_matrices(b, keys + ((first + t) * 8 + lane % 8 + lane / 16 * 8) * PITCH + step * 16 + lane / 8 % 2 * 8);
            multiply<T>(scores[t], a, b[0], b[1]);
            multiply<T>(scores[t + 1], a, b[2], b[3]);
        }
    }
}

// The weights of 16 keys, as the left side of a product.
template <typename T>
__device__ inline void weights_of(unsigned (&a)[4], const float (&scores)[KEY_TILES][4], int step) {
    const float *left = scores[2 * step], *right = scores[2 * step + 1];
    a[0] = pack<T>(left[0], left[1]), a[1] = pack<T>(left[2], left[3]);
    a[2] = pack<T>(right[0], right[1]), a[3] = pack<T>(right[2], right[3]);
}

// Adds the weighted values of columns `8 t` to `8 t + 15`.
template <typename T, int WIDTH>
__device__ inline void weigh(float (&left)[4], float (&right)[4], const unsigned (&a)[4], const T* values, int step, int t) {
    const int lane = threadIdx.x % 32;
    unsigned b[4];
    load_transposed(b, values + (step * 16 + lane % 16) * (WIDTH + 8) + t * 8 + lane / 16 * 8);
    multiply<T>(left, a, b[0], b[1]);
    multiply<T>(right, a, b[2], b[3]);
}

// Four warps serve 16 pairs each. Shared memory: 64 + 4 BLOCK_KEYS rows of WIDTH + 8 elements.
template <typename T, int WIDTH>
__device__ void attend_many(const Place<T>& place) {
    constexpr int WARPS = 4, THREADS = 32 * WARPS, PITCH = WIDTH + 8, COLUMN_TILES = WIDTH / 8, BLOCK = BLOCK_KEYS * PITCH;
    extern __shared__ __align__(16) unsigned char shared[];
    T* queries = reinterpret_cast<T*>(shared);
    T* keys = queries + 16 * WARPS * PITCH;
    T* values = keys + 2 * BLOCK;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first = place.tile.first + warp * 16;

    const int first_block = place.first_block(), end_block = place.end_block();
    place.template load_queries<WIDTH, 16 * WARPS, THREADS>(queries);
    if (first_block < end_block) place.template load<WIDTH, THREADS>(keys, values, first_block);
    commit();

    Softmax softmax(place.seen(first + lane / 4), place.seen(first + lane / 4 + 8));
    float sums[COLUMN_TILES][4] = {};
    for (int block = first_block; block < end_block; block++) {
        const int stage = (block - first_block) % 2, next = 1 - stage;
        if (block + 1 < end_block) place.template load<WIDTH, THREADS>(keys + next * BLOCK, values + next * BLOCK, block + 1);
        commit();
        wait<1>();
        __syncthreads();
        float scores[KEY_TILES][4] = {};
        score<T, WIDTH, KEY_TILES>(scores, queries + warp * 16 * PITCH, keys + stage * BLOCK, 0);
        float fade[2];
        softmax.step(scores, block, place.call.scale, place.call.softcap, fade);
#pragma unroll
        for (int t = 0; t < COLUMN_TILES; t++)
#pragma unroll
            for (int i = 0; i < 4; i++) sums[t][i] *= fade[i / 2];
#pragma unroll
        for (int step = 0; step < BLOCK_KEYS / 16; step++) {
            unsigned a[4];
            weights_of<T>(a, scores, step);
#pragma unroll
            for (int t = 0; t < COLUMN_TILES; t += 2) weigh<T, WIDTH>(sums[t], sums[t + 1], a, values + stage * BLOCK, step, t);
        }
        __syncthreads();
    }
    float share[2];
    softmax.finish(share);
    for (int half = 0; half < 2; half++) {
        int pair = first + lane / 4 + 8 * half;
        if (pair >= place.pairs) continue;
#pragma unroll
        for (int t = 0; t < COLUMN_TILES; t++) place.store(pair, t, sums[t][2 * half] * share[half], sums[t][2 * half + 1] * share[half]);
    }
}

// Blocks of keys and values that `attend_few` keeps at once.
template <int WIDTH>
constexpr int FEW_STAGES = WIDTH > 128 ? 2 : 3;
constexpr int SCORE_PITCH = BLOCK_KEYS + 8;

// The same for at most 16 pairs, of a row that decodes: its four warps share the keys of a block for
// the scores, then the columns of the values. Shared memory: 16 + 2 FEW_STAGES BLOCK_KEYS rows of
// WIDTH + 8 elements, and 16 rows of SCORE_PITCH floats.
template <typename T, int WIDTH>
__device__ void attend_few(const Place<T>& place) {
    constexpr int WARPS = 4, THREADS = 32 * WARPS, PITCH = WIDTH + 8, BLOCK = BLOCK_KEYS * PITCH, STAGES = FEW_STAGES<WIDTH>;
    // A warp makes two tiles of columns at a time, in turn with the others.
    constexpr int PARTS = (WIDTH / 16 + WARPS - 1) / WARPS;
    extern __shared__ __align__(16) unsigned char shared[];
    T* queries = reinterpret_cast<T*>(shared);
    T* keys = queries + 16 * PITCH;
    T* values = keys + STAGES * BLOCK;
    float* exchange = reinterpret_cast<float*>(values + STAGES * BLOCK);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

    const int first_block = place.first_block(), end_block = place.end_block();
    place.template load_queries<WIDTH, 16, THREADS>(queries);
    auto load = [&](int block) {
        int stage = (block - first_block) % STAGES;
        if (block < end_block) place.template load<WIDTH, THREADS>(keys + stage * BLOCK, values + stage * BLOCK, block);
        commit();
    };
    for (int i = 0; i < STAGES - 1; i++) load(first_block + i);

    Softmax softmax(place.seen(place.tile.first + lane / 4), place.seen(place.tile.first + lane / 4 + 8));
    float sums[2 * PARTS][4] = {};
    for (int block = first_block; block < end_block; block++) {
        const int stage = (block - first_block) % STAGES;
        wait<STAGES - 2>();
        __syncthreads();
        // Into the stage that everybody has left.
        load(block + STAGES - 1);
        float own[2][4] = {};
        score<T, WIDTH, 2>(own, queries, keys + stage * BLOCK, 2 * warp);
        float* scores_of_row = exchange + lane / 4 * SCORE_PITCH + lane % 4 * 2;
#pragma unroll
        for (int t = 0; t < 2; t++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                *reinterpret_cast<float2*>(scores_of_row + 8 * half * SCORE_PITCH + (2 * warp + t) * 8) = make_float2(own[t][2 * half], own[t][2 * half + 1]);
        __syncthreads();
        float scores[KEY_TILES][4];
#pragma unroll
        for (int t = 0; t < KEY_TILES; t++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float2 pair = *reinterpret_cast<float2*>(scores_of_row + 8 * half * SCORE_PITCH + t * 8);
                scores[t][2 * half] = pair.x, scores[t][2 * half + 1] = pair.y;
            }
        float fade[2];
        softmax.step(scores, block, place.call.scale, place.call.softcap, fade);
#pragma unroll
        for (int t = 0; t < 2 * PARTS; t++)
#pragma unroll
            for (int i = 0; i < 4; i++) sums[t][i] *= fade[i / 2];
#pragma unroll
        for (int step = 0; step < BLOCK_KEYS / 16; step++) {
            unsigned a[4];
            weights_of<T>(a, scores, step);
#pragma unroll
            for (int part = 0; part < PARTS; part++) {
                int t = 2 * (part * WARPS + warp);
                if (t < WIDTH / 8) weigh<T, WIDTH>(sums[2 * part], sums[2 * part + 1], a, values + stage * BLOCK, step, t);
            }
        }
    }
    float share[2];
    softmax.finish(share);
    for (int half = 0; half < 2; half++) {
        int pair = place.tile.first + lane / 4 + 8 * half;
        if (pair >= place.pairs) continue;
#pragma unroll
        for (int t = 0; t < 2 * PARTS; t++)
            place.store(pair, 2 * (t / 2 * WARPS + warp) + t % 2, sums[t][2 * half] * share[half], sums[t][2 * half + 1] * share[half]);
    }
}

template <typename T, int WIDTH>
__global__ void __launch_bounds__(128) many(const __grid_constant__ Call call) {
    release_next();
    await_previous();
    attend_many<T, WIDTH>(Place<T>(call));
}
template <typename T, int WIDTH>
__global__ void __launch_bounds__(128) few(const __grid_constant__ Call call) {
    release_next();
    await_previous();
    attend_few<T, WIDTH>(Place<T>(call));
}

// Bytes of shared memory of a block of `many`, and of one of `few`.
template <int WIDTH>
constexpr int MANY_BYTES = (64 + 4 * BLOCK_KEYS) * (WIDTH + 8) * 2;
template <int WIDTH>
constexpr int FEW_BYTES = (16 + 2 * FEW_STAGES<WIDTH> * BLOCK_KEYS) * (WIDTH + 8) * 2 + 16 * SCORE_PITCH * sizeof(float);

template <typename T, int WIDTH>
static int launch(const Call& call, int tiles, bool is_few, cudaStream_t stream) {
    return launch_early(is_few ? few<T, WIDTH> : many<T, WIDTH>, dim3(tiles, call.kv_heads), 128, is_few ? FEW_BYTES<WIDTH> : MANY_BYTES<WIDTH>, stream,
                        call);
}

template <int WIDTH>
static int shared_bytes() { return FEW_BYTES<WIDTH> > MANY_BYTES<WIDTH> ? FEW_BYTES<WIDTH> : MANY_BYTES<WIDTH>; }

// The shared memory that a block needs for heads of `width`: smaller cards have less.
extern "C" int scotoma_attention_bytes(int width) {
    if (width <= 16) return shared_bytes<16>();
    if (width <= 32) return shared_bytes<32>();
    if (width <= 64) return shared_bytes<64>();
    if (width <= 80) return shared_bytes<80>();
    if (width <= 96) return shared_bytes<96>();
    if (width <= 128) return shared_bytes<128>();
    return shared_bytes<256>();
}

template <typename T>
static int dispatch(const Call& call, int tiles, bool is_few, cudaStream_t stream) {
    // Wider heads are padded in shared memory.
    if (call.width <= 16) return launch<T, 16>(call, tiles, is_few, stream);
    if (call.width <= 32) return launch<T, 32>(call, tiles, is_few, stream);
    if (call.width <= 64) return launch<T, 64>(call, tiles, is_few, stream);
    if (call.width <= 80) return launch<T, 80>(call, tiles, is_few, stream);
    if (call.width <= 96) return launch<T, 96>(call, tiles, is_few, stream);
    if (call.width <= 128) return launch<T, 128>(call, tiles, is_few, stream);
    return launch<T, 256>(call, tiles, is_few, stream);
}

// `few`: whether no sequence has more than 16 pairs. Returns a CUDA error, or 0.
extern "C" int scotoma_attend(const Call* call, int tiles, int few, int is_bf16, cudaStream_t stream) {
    return is_bf16 ? dispatch<__nv_bfloat16>(*call, tiles, few, stream) : dispatch<__half>(*call, tiles, few, stream);
}
