package org.pytorch.executorch;

// Unverified: of executorch-android 1.5.1 as its sources say; compiled against, never packaged.
public enum DType {
    INT64,
    FLOAT,
}
