package org.pytorch.executorch;

// Unverified: of executorch-android 1.5.1 as its sources say; compiled against, never packaged.
public class EValue {
    public static EValue from(Tensor tensor) {
        throw new UnsupportedOperationException();
    }

    public Tensor toTensor() {
        throw new UnsupportedOperationException();
    }
}
