// Products of many rows, by cuBLASLt. Algorithms that split K, whose sums depend on the number of rows,
// are left out: what remains sums in one order, so that a row has the same bits in any company.

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <map>
#include <mutex>
#include <tuple>

namespace {

constexpr size_t WORKSPACE = 32 << 20;

// What one device has of the library.
struct Library {
    cublasLtHandle_t handle = nullptr;
    void* workspace = nullptr;
    std::map<std::tuple<int, int, int, int, int>, cublasLtMatmulAlgo_t> algorithms;
};

std::mutex mutex;
std::map<int, Library> libraries;

// Descriptions of one product, let go at the end.
struct Product {
    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatrixLayout_t weight = nullptr, x = nullptr, y = nullptr;
    ~Product() {
        if (operation) cublasLtMatmulDescDestroy(operation);
        for (auto layout : {weight, x, y})
            if (layout) cublasLtMatrixLayoutDestroy(layout);
    }
    // cuBLAS counts by columns: y^T (outputs, rows) = weight x^T.
    int describe(int rows, int outputs, int input, cudaDataType_t type, const void* bias) {
        if (auto error = cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F)) return error;
        cublasOperation_t transposed = CUBLAS_OP_T;
        if (auto error = cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed)) return error;
        if (bias) {
            cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
            if (auto error = cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue)) return error;
            if (auto error = cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias)) return error;
        }
        if (auto error = cublasLtMatrixLayoutCreate(&weight, type, input, outputs, input)) return error;
        if (auto error = cublasLtMatrixLayoutCreate(&x, type, input, rows, input)) return error;
        return cublasLtMatrixLayoutCreate(&y, type, outputs, rows, outputs);
    }
    int choose(cublasLtHandle_t handle, cublasLtMatmulAlgo_t* algorithm) const {
        cublasLtMatmulPreference_t preference;
        if (auto error = cublasLtMatmulPreferenceCreate(&preference)) return error;
        unsigned reductions = CUBLASLT_REDUCTION_SCHEME_NONE;
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions);
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE, sizeof WORKSPACE);
        cublasLtMatmulHeuristicResult_t found;
        int count = 0;
        auto error = cublasLtMatmulAlgoGetHeuristic(handle, operation, weight, x, y, y, preference, 1, &found, &count);
        cublasLtMatmulPreferenceDestroy(preference);
        *algorithm = found.algo;
        return error ? error : count ? 0 : CUBLAS_STATUS_NOT_SUPPORTED;
    }
};

}  // namespace

// y (rows, outputs) = x (rows, input) weight (outputs, input)^T + bias (outputs), which may be null.
// Returns a status of cuBLAS, or 0.
extern "C" int scotoma_product(int device, const void* x, const void* weight, const void* bias, void* y, int rows, int outputs, int input, int is_bf16,
                               cudaStream_t stream) {
    std::lock_guard lock(mutex);
    Library& library = libraries[device];
    if (!library.handle) {
        if (cudaMalloc(&library.workspace, WORKSPACE)) return CUBLAS_STATUS_ALLOC_FAILED;
        if (auto error = cublasLtCreate(&library.handle)) return error;
    }
    const cudaDataType_t type = is_bf16 ? CUDA_R_16BF : CUDA_R_16F;
    Product product;
    if (auto error = product.describe(rows, outputs, input, type, bias)) return error;
    // Chosen for rounded numbers of rows: for one row there are algorithms apart, which sum in another
    // order, and an algorithm that is new takes the driver milliseconds to load.
    int step = 8;
    while (step * 16 < rows) step *= 2;
    const int chosen_rows = (rows + step - 1) / step * step;
    // Prompts have any number of rows: the list must not grow without end.
    if (library.algorithms.size() > 4096) library.algorithms.clear();
    auto [entry, is_new] = library.algorithms.try_emplace({chosen_rows, outputs, input, is_bf16, bias != nullptr});
    if (is_new) {
        Product like;
        auto error = like.describe(chosen_rows, outputs, input, type, bias);
        if (!error) error = like.choose(library.handle, &entry->second);
        if (error) {
            library.algorithms.erase(entry);
            return error;
        }
    }
    const float one = 1, zero = 0;
    auto run = [&](const cublasLtMatmulAlgo_t* algorithm) {
        return cublasLtMatmul(library.handle, product.operation, &one, weight, product.weight, x, product.x, &zero, y, product.y, y, product.y, algorithm,
                              library.workspace, WORKSPACE, stream);
    };
    const int status = run(&entry->second);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED && status != CUBLAS_STATUS_INVALID_VALUE) return status;
    // It does not take this number of rows: one that does, whose bits the caller compares.
    cublasLtMatmulAlgo_t exact;
    if (auto error = product.choose(library.handle, &exact)) return error;
    return run(&exact);
}

// Lets go of what is kept of a device whose context is lost: none of it can be freed any more.
extern "C" void scotoma_forget(int device) {
    std::lock_guard lock(mutex);
    libraries.erase(device);
}
