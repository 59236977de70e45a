package org.fedrela.executorch

import org.fedrela.core.tensors.Tensor
import java.io.File

/** A loaded program, in one thread at a time. What it throws is turned into errors of ours by whoever calls it. */
public interface PteModule : AutoCloseable {
    /** Run it on float32, int64 or uint8 tensors by position. The outputs are copies, in nobody's planned memory. */
    public fun forward(inputs: List<Tensor>): List<Tensor>
}

/** Loads a program from a file, which it may read for as long as the module is open. */
public fun interface PteLoader {
    public fun load(file: File): PteModule
}
