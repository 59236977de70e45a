package org.fedrela.android

import org.fedrela.client.Event
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.Executor

/** Who hears of progress, and the newest of it. */
internal class Watchers {
    private val all = CopyOnWriteArrayList<(Event) -> Unit>()

    @Volatile
    var newest: Event? = null
        private set

    fun add(executor: Executor, listener: (Event) -> Unit): AutoCloseable {
        val watcher = { event: Event -> executor.execute { listener(event) } }
        all.add(watcher)
        return AutoCloseable { all.remove(watcher) }
    }

    fun tell(event: Event) {
        newest = event
        all.forEach { it(event) }
    }
}
