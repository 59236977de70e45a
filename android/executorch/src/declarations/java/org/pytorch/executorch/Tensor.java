package org.pytorch.executorch;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;

// Unverified: of executorch-android 1.5.1 as its sources say; compiled against, never packaged.
public abstract class Tensor {
    public static Tensor fromBlobUnsigned(ByteBuffer data, long[] shape) {
        throw new UnsupportedOperationException();
    }

    public static Tensor fromBlob(LongBuffer data, long[] shape) {
        throw new UnsupportedOperationException();
    }

    public static Tensor fromBlob(FloatBuffer data, long[] shape) {
        throw new UnsupportedOperationException();
    }

    public long[] shape() {
        throw new UnsupportedOperationException();
    }

    public abstract DType dtype();

    public long[] getDataAsLongArray() {
        throw new UnsupportedOperationException();
    }

    public float[] getDataAsFloatArray() {
        throw new UnsupportedOperationException();
    }
}
