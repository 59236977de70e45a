package org.pytorch.executorch;

// Unverified: of executorch-android 1.5.1 as its sources say; compiled against, never packaged.
public class Module {
    public static final int LOAD_MODE_FILE = 0;

    public static Module load(String modelPath, int loadMode, int numThreads) {
        throw new UnsupportedOperationException();
    }

    public EValue[] forward(EValue... inputs) {
        throw new UnsupportedOperationException();
    }

    public void destroy() {
        throw new UnsupportedOperationException();
    }
}
