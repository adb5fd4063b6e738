package org.lorakernels;

import static org.bytedeco.cuda.global.cublas.CUBLAS_COMPUTE_32F;
import static org.bytedeco.cuda.global.cublas.CUBLAS_GEMM_DEFAULT;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_N;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_T;
import static org.bytedeco.cuda.global.cudart.CUDA_R_16BF;
import static org.bytedeco.cuda.global.cudart.CUDA_R_16F;
import static org.bytedeco.cuda.global.cudart.CUDA_R_32F;

import org.bytedeco.cuda.cublas.cublasContext;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;

/**
 * cuBLAS on the stream of a device, an optional dependency: loaded on first use, and reported as
 * absent where the presets are not on the class path or CUDA's library is not found. Its calls are
 * queued among the device's own operations.
 */
final class CuBlas implements DenseProduct {
  private static final int SUCCESS = 0;

  private static final OptionalLibrary CUBLAS =
      new OptionalLibrary(
          "cuBLAS cannot be loaded",
          "add org.bytedeco:cuda and the same with the classifier "
              + Loader.getPlatform()
              + " to the class path, and install CUDA 13's libcublas or add the classifier "
              + Loader.getPlatform()
              + "-redist",
          () -> {
            Loader.load(cudart.class);
            Loader.load(cublas.class);
          });

  private final int ordinal;
  private final CUstream_st stream;

  private CuBlas(int ordinal, CUstream_st stream) {
    this.ordinal = ordinal;
    this.stream = stream;
  }

  /** One handle for each GPU, to the end. */
  private static final class Handles {
    private static final java.util.Map<Integer, cublasContext> ALL = new java.util.HashMap<>();

    /** Call with the class locked and the GPU chosen. */
    static cublasContext of(int ordinal) {
      cublasContext handle = ALL.get(ordinal);
      if (handle == null) {
        handle = new cublasContext();
        requireDone("cublasCreate", cublas.cublasCreate_v2(handle));
        ALL.put(ordinal, handle);
      }
      return handle;
    }
  }

  /** Throws where cuBLAS or its GPU cannot be used. */
  static DenseProduct open(String operation, Device device) {
    CUBLAS.require(operation);
    CUstream_st stream = new CUstream_st(new Tensor.HostMemory(device.stream(), 1));
    return new CuBlas(device.ordinal(), stream);
  }

  @Override
  public DType compute(DType activations) {
    return activations;
  }

  /** Row-major c = a b is column-major cᵀ = bᵀ aᵀ. */
  @Override
  public void gemm(
      boolean transposeA,
      boolean transposeB,
      float alpha,
      Tensor a,
      Tensor b,
      float beta,
      Tensor c) {
    long k = transposeA ? a.rows() : a.cols();
    NativeOwner.acquireAll("cuBLAS", a, b, c, null, null);
    try (FloatPointer one = new FloatPointer(alpha);
        FloatPointer other = new FloatPointer(beta)) {
      synchronized (Handles.class) {
        requireDone("cudaSetDevice", cudart.cudaSetDevice(ordinal));
        cublasContext handle = Handles.of(ordinal);
        requireDone("cublasSetStream", cublas.cublasSetStream_v2(handle, stream));
        requireDone(
            "cublasGemmEx",
            cublas.cublasGemmEx(
                handle,
                transposeB ? CUBLAS_OP_T : CUBLAS_OP_N,
                transposeA ? CUBLAS_OP_T : CUBLAS_OP_N,
                Math.toIntExact(c.cols()),
                Math.toIntExact(c.rows()),
                Math.toIntExact(k),
                one,
                pointer(b),
                type(b),
                Math.toIntExact(b.rowStride()),
                pointer(a),
                type(a),
                Math.toIntExact(a.rowStride()),
                other,
                pointer(c),
                type(c),
                Math.toIntExact(c.rowStride()),
                CUBLAS_COMPUTE_32F,
                CUBLAS_GEMM_DEFAULT));
      }
    } finally {
      NativeOwner.releaseAll(a, b, c, null, null);
    }
  }

  private static Pointer pointer(Tensor tensor) {
    return new Tensor.HostMemory(tensor.address(), tensor.byteSize());
  }

  private static int type(Tensor tensor) {
    return switch (tensor.dtype()) {
      case BF16 -> CUDA_R_16BF;
      case F16 -> CUDA_R_16F;
      default -> CUDA_R_32F;
    };
  }

  private static void requireDone(String routine, int status) {
    if (status != SUCCESS) {
      throw new LoraKernelsException(
          "cuBLAS: " + routine + " failed with status " + status + "; check nvidia-smi");
    }
  }
}
