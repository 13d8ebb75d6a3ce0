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
    long long keys, values;            // elements from those of the call to key 0 of head 0 in layer 0
    long long more_keys, more_values;  // the same of keys from `split` on, counted as if those before were there
    long long layer_stride;            // elements from a layer to the next one
    int split;
    int head_stride;  // elements from a head to the next one
    int first_row;    // in q and z
    int first_range;  // in the list of what rows see
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
    const void* k;       // (R, K, Dh): the keys of rows that decode, to be kept behind those before them; else null
    const void* v;       // (R, K, Dh), likewise
    const void* keys;    // strided; null where offsets are addresses
    const void* values;  // strided as the keys
    const Sequence* sequences;
    const Tile* tiles;
    const int2* visible;  // of each row, the first key that it sees, and the one behind its last
    void* z;              // (R, H, Dh)
    long long key_stride;  // elements from a key to the next one
    int layer;             // of those that a sequence keeps side by side
    int heads;
    int kv_heads;
    int width;      // of a head; a multiple of 8
    float scale;    // of scores
    float softcap;  // bounds scores by softcap * tanh(score / softcap); 0: none
};

// The keys of one head, or its values: those before `split` are in one place, the others in another.
template <typename T>
struct Keys {
    const T *first, *rest;
    int split;
    __device__ const T* row(int key, long long offset) const { return (key < split ? first : rest) + offset; }
};

// Starts copies of ROWS rows to shared memory, from number `key` on, WIDTH elements each; from number
// `end` on they are 0.
template <typename T, int WIDTH, int THREADS, int ROWS>
__device__ inline void load_block(T* to, const Keys<T>& from, int key, long long stride, int end, int width) {
    constexpr int PITCH = WIDTH + 8, CHUNKS = WIDTH / 8;
    if constexpr (THREADS % CHUNKS == 0) {
        // A thread keeps its column and walks down the rows.
        constexpr int STEP = THREADS / CHUNKS;
        int row = threadIdx.x / CHUNKS, column = threadIdx.x % CHUNKS * 8;
        long long source = (key + row) * stride + column;
        T* target = to + row * PITCH + column;
        bool is_column = column < width;
#pragma unroll
        for (int i = 0; i < (ROWS + STEP - 1) / STEP; i++) {
            bool inside = is_column && key + row < end;
            if (ROWS % STEP == 0 || row < ROWS) copy_async(target, inside ? from.row(key + row, source) : from.first, inside);
            row += STEP, source += STEP * stride, target += STEP * PITCH;
        }
    } else {
        for (int i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
            int row = i / CHUNKS, column = i % CHUNKS * 8;
            bool inside = key + row < end && column < width;
            copy_async(to + row * PITCH + column, inside ? from.row(key + row, (key + row) * stride + column) : from.first, inside);
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
    __device__ Keys<T> keys() const { return of(call.keys, own.keys, own.more_keys); }
    __device__ Keys<T> values() const { return of(call.values, own.values, own.more_values); }
    __device__ Keys<T> of(const void* all, long long first, long long rest) const {
        const T* head = static_cast<const T*>(all) + call.layer * own.layer_stride + (long long)kv_head * own.head_stride;
        return {head + first, head + rest, own.split};
    }
    __device__ int first_block() const { return tile.first_key / BLOCK_KEYS; }
    __device__ int end_block() const { return (tile.end_key + BLOCK_KEYS - 1) / BLOCK_KEYS; }
    __device__ int2 seen(int pair) const { return pair < pairs ? call.visible[own.first_range + pair / group] : make_int2(0, 0); }

    // Keeps the key and the value of a row that decodes, which is the last of those that it sees. Tiles
    // of one row write the same.
    __device__ void append() const {
        if (!call.k) return;
        const int chunks = call.width / 8, i = threadIdx.x % chunks;
        if (threadIdx.x >= 2 * chunks) return;
        const bool is_key = threadIdx.x < chunks;
        const long long from = ((long long)own.first_row * call.kv_heads + kv_head) * call.width;
        const T* source = static_cast<const T*>(is_key ? call.k : call.v) + from;
        const int last = own.count - 1;
        T* target = const_cast<T*>((is_key ? keys() : values()).row(last, last * call.key_stride));
        reinterpret_cast<uint4*>(target)[i] = reinterpret_cast<const uint4*>(source)[i];
        // Other threads of the block read it.
        __threadfence_block();
    }
    template <int WIDTH, int ROWS, int THREADS>
    __device__ void load_queries(T* to) const {
        const T* q = static_cast<const T*>(call.q);
        for (int i = threadIdx.x; i < ROWS * (WIDTH / 8); i += THREADS) {
            int row = i / (WIDTH / 8), column = i % (WIDTH / 8) * 8;
            bool inside = tile.first + row < pairs && column < call.width;
            copy_async(to + row * (WIDTH + 8) + column, q + (inside ? element(tile.first + row) + column : 0), inside);
        }
    }
    // Starts copies of ROWS keys, or values, from a block on.
    template <int WIDTH, int THREADS, int ROWS>
    __device__ void load_part(T* to, const Keys<T>& from, int block) const {
        load_block<T, WIDTH, THREADS, ROWS>(to, from, block * BLOCK_KEYS, call.key_stride, own.count, call.width);
    }
    // Starts copies of the keys and values of a block.
    template <int WIDTH, int THREADS>
    __device__ void load(T* to_keys, T* to_values, int block) const {
        load_part<WIDTH, THREADS, BLOCK_KEYS>(to_keys, keys(), block);
        load_part<WIDTH, THREADS, BLOCK_KEYS>(to_values, values(), block);
    }
    // Writes the means of a row of the tile: columns 8 t + 2 (lane % 4) and the next one.
    __device__ void store(int pair, int t, float left, float right) const {
        int column = t * 8 + threadIdx.x % 4 * 2;
        if (column < call.width) *reinterpret_cast<unsigned*>(static_cast<T*>(call.z) + element(pair) + column) = pack<T>(left, right);
    }
};

// Returns what sums so far fade by when `highest` of a row's scores becomes `above`, and what its
// scores are counted from.
__device__ inline float faded(float highest, float above, float factor, float& base) {
    // Rounded before they are compared: where nothing is higher, nothing fades, to the bit.
    const float before = __fmul_rn(highest, factor), now = __fmul_rn(above, factor);
    // A row that has seen no key yet has no highest score to count from.
    base = above == MINUS_INFINITY ? 0 : now;
    return power_of_two(__fsub_rn(before, base));
}

// The factors that turn sums into means, from totals of which four neighbours have a part each.
__device__ inline void shares_of(float (&total)[2], float (&share)[2]) {
    for (int half = 0; half < 2; half++) {
        total[half] += __shfl_xor_sync(~0u, total[half], 1);
        total[half] += __shfl_xor_sync(~0u, total[half], 2);
        share[half] = total[half] > 0 ? 1 / total[half] : 0;
    }
}

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
            fade[half] = faded(highest[half], above, factor, base[half]);
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
    shares_of(softmax.total, share);
    for (int half = 0; half < 2; half++) {
        int pair = first + lane / 4 + 8 * half;
        if (pair >= place.pairs) continue;
#pragma unroll
        for (int t = 0; t < COLUMN_TILES; t++) place.store(pair, t, sums[t][2 * half] * share[half], sums[t][2 * half + 1] * share[half]);
    }
}

// Keys that `attend_few` takes at once, and its warps: eight that compute, and one that adds up.
constexpr int SPAN = 2 * BLOCK_KEYS;
constexpr int FEW_WARPS = 8, FEW_THREADS = 32 * (FEW_WARPS + 1);
constexpr int SPAN_PITCH = SPAN + 8;

// Shared memory of `attend_few`.
template <typename T, int WIDTH, int STAGES>
struct Few {
    T queries[16][WIDTH + 8];
    T keys[STAGES][SPAN][WIDTH + 8];
    T values[STAGES][SPAN][WIDTH + 8];
    T weights[16][SPAN_PITCH];
    float exact[16][SPAN_PITCH];  // the weights before they are rounded
    float highest[FEW_WARPS][16];
    float shares[16];
};

// The same for at most 16 pairs, of a row that decodes, two blocks at a time: each warp scores 16 keys,
// and weighs them once the highest scores of the blocks are known; then it adds up 16 columns of the
// values at a time. The sums go through the blocks one by one, as above.
template <typename T, int WIDTH, int STAGES>
__device__ void attend_few(const Place<T>& place) {
    constexpr int PARTS = (WIDTH / 16 + FEW_WARPS - 1) / FEW_WARPS;
    extern __shared__ __align__(16) unsigned char shared[];
    auto& own = *reinterpret_cast<Few<T, WIDTH, STAGES>*>(shared);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = lane / 4;
    const bool computes = warp < FEW_WARPS;
    // Of a tile's 16 rows the lower half is mostly empty.
    const int halves = place.pairs - place.tile.first > 8 ? 2 : 1;
    const int first_block = place.first_block(), spans = (place.end_block() - first_block + 1) / 2;

    auto load_keys = [&](int span) {
        if (computes && span < spans) place.template load_part<WIDTH, 32 * FEW_WARPS, SPAN>(own.keys[span % STAGES][0], place.keys(), first_block + 2 * span);
        commit();
    };
    auto load_values = [&](int span) {
        if (computes && span < spans)
            place.template load_part<WIDTH, 32 * FEW_WARPS, SPAN>(own.values[span % STAGES][0], place.values(), first_block + 2 * span);
        commit();
    };
    place.template load_queries<WIDTH, 16, FEW_THREADS>(own.queries[0]);
    load_keys(0);
    load_values(0);

    const int2 upper = place.seen(place.tile.first + row), lower = place.seen(place.tile.first + row + 8);
    const int from[2] = {upper.x, lower.x}, to[2] = {upper.y, lower.y};
    const float scale = place.call.scale, softcap = place.call.softcap, factor = softcap > 0 ? LOG2_E : scale * LOG2_E;
    float highest[2] = {MINUS_INFINITY, MINUS_INFINITY}, total[2] = {};
    float sums[2 * PARTS][4] = {};
    for (int span = 0; span < spans; span++) {
        const int stage = span % STAGES;
        // With one stage the values of this span may still be under way, if they were asked for.
        if (STAGES == 1 && span == 0) wait<1>();
        else wait<0>();
        __syncthreads();
        // Into what everybody has left.
        if (STAGES > 1) load_keys(span + 1), load_values(span + 1);
        else if (span > 0) load_values(span);
        float scores[2][4] = {};
        if (computes) {
            score<T, WIDTH, 2>(scores, own.queries[0], own.keys[stage][0], 2 * warp);
            const int first = (first_block + 2 * span) * BLOCK_KEYS + warp * 16 + lane % 4 * 2;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                if (half >= halves) continue;
                float above = MINUS_INFINITY;
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float& score = scores[i / 2][2 * half + i % 2];
                    const int key = first + i / 2 * 8 + i % 2;
                    if (softcap > 0) score = softcap * tanhf(score * scale / softcap);
                    if (key < from[half] || key >= to[half]) score = MINUS_INFINITY;
                    above = fmaxf(above, score);
                }
                above = fmaxf(above, __shfl_xor_sync(~0u, above, 1));
                above = fmaxf(above, __shfl_xor_sync(~0u, above, 2));
                if (lane % 4 == 0) own.highest[warp][row + 8 * half] = above;
            }
        }
        __syncthreads();
        if (STAGES == 1) load_keys(span + 1);
        float fade[2][2], base[2][2];  // of each block, each half
#pragma unroll
        for (int block = 0; block < 2; block++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                if (half >= halves) continue;
                float above = highest[half];
#pragma unroll
                for (int i = 0; i < 4; i++) above = fmaxf(above, own.highest[4 * block + i][row + 8 * half]);
                fade[block][half] = faded(highest[half], above, factor, base[block][half]);
                highest[half] = above;
            }
        if (computes) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                if (half >= halves) continue;
                const float least = warp < 4 ? base[0][half] : base[1][half];
#pragma unroll
                for (int t = 0; t < 2; t++) {
                    const float left = power_of_two(fmaf(scores[t][2 * half], factor, -least));
                    const float right = power_of_two(fmaf(scores[t][2 * half + 1], factor, -least));
                    const int column = warp * 16 + t * 8 + lane % 4 * 2;
                    *reinterpret_cast<float2*>(&own.exact[row + 8 * half][column]) = make_float2(left, right);
                    *reinterpret_cast<unsigned*>(&own.weights[row + 8 * half][column]) = pack<T>(left, right);
                }
            }
        }
        if (STAGES == 1) wait<1>();
        __syncthreads();
        if (computes) {
#pragma unroll
            for (int block = 0; block < 2; block++) {
#pragma unroll
                for (int t = 0; t < 2 * PARTS; t++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        if (i / 2 < halves) sums[t][i] *= fade[block][i / 2];
#pragma unroll
                for (int step = 0; step < BLOCK_KEYS / 16; step++) {
                    unsigned a[4];
                    load_matrices(a, &own.weights[lane % 16][block * BLOCK_KEYS + step * 16 + lane / 16 * 8]);
#pragma unroll
                    for (int part = 0; part < PARTS; part++) {
                        const int t = 2 * (part * FEW_WARPS + warp);
                        if (t < WIDTH / 8) weigh<T, WIDTH>(sums[2 * part], sums[2 * part + 1], a, own.values[stage][block * BLOCK_KEYS], step, t);
                    }
                }
            }
        } else {
#pragma unroll
            for (int block = 0; block < 2; block++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    if (half >= halves) continue;
                    total[half] *= fade[block][half];
#pragma unroll
                    for (int t = 0; t < KEY_TILES; t++) {
                        const float2 pair = *reinterpret_cast<const float2*>(&own.exact[row + 8 * half][block * BLOCK_KEYS + t * 8 + lane % 4 * 2]);
                        total[half] += pair.x;
                        total[half] += pair.y;
                    }
                }
        }
    }
    if (!computes) {
        float share[2];
        shares_of(total, share);
        if (lane % 4 == 0) own.shares[row] = share[0], own.shares[row + 8] = share[1];
    }
    __syncthreads();
    if (!computes) return;
    for (int half = 0; half < halves; half++) {
        const int pair = place.tile.first + row + 8 * half;
        if (pair >= place.pairs) continue;
        const float share = own.shares[row + 8 * half];
#pragma unroll
        for (int t = 0; t < 2 * PARTS; t++) {
            const int column = 2 * (t / 2 * FEW_WARPS + warp) + t % 2;
            if (column < WIDTH / 8) place.store(pair, column, sums[t][2 * half] * share, sums[t][2 * half + 1] * share);
        }
    }
}

template <typename T, int WIDTH>
__global__ void __launch_bounds__(128) many(const __grid_constant__ Call call) {
    release_next();
    await_previous();
    Place<T> place(call);
    place.append();
    __syncthreads();
    attend_many<T, WIDTH>(place);
}
template <typename T, int WIDTH, int STAGES>
__global__ void __launch_bounds__(FEW_THREADS) few(const __grid_constant__ Call call) {
    release_next();
    await_previous();
    Place<T> place(call);
    place.append();
    __syncthreads();
    attend_few<T, WIDTH, STAGES>(place);
}

// Bytes of shared memory of a block of `many`.
template <int WIDTH>
constexpr int MANY_BYTES = (64 + 4 * BLOCK_KEYS) * (WIDTH + 8) * 2;

template <typename T, int WIDTH, int STAGES>
static int launch_few(const Call& call, int tiles, cudaStream_t stream) {
    return launch_early(few<T, WIDTH, STAGES>, dim3(tiles, call.kv_heads), FEW_THREADS, sizeof(Few<T, WIDTH, STAGES>), stream, call);
}

template <typename T, int WIDTH>
static int launch(const Call& call, int tiles, bool is_few, cudaStream_t stream) {
    if (!is_few) return launch_early(many<T, WIDTH>, dim3(tiles, call.kv_heads), 128, MANY_BYTES<WIDTH>, stream, call);
    // Where every block has a processor to itself, nothing but the next keys hides the wait for keys.
    if constexpr (WIDTH <= 128) {
        const Card& card = this_card();
        if (tiles * call.kv_heads <= card.processors && sizeof(Few<T, WIDTH, 2>) <= card.shared) return launch_few<T, WIDTH, 2>(call, tiles, stream);
    }
    return launch_few<T, WIDTH, 1>(call, tiles, stream);
}

template <int WIDTH>
static int shared_bytes() {
    constexpr int FEW_BYTES = sizeof(Few<__half, WIDTH, 1>);
    return FEW_BYTES > MANY_BYTES<WIDTH> ? FEW_BYTES : MANY_BYTES<WIDTH>;
}

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
