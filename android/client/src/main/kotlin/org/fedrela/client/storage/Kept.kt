package org.fedrela.client.storage

import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Fields
import org.fedrela.core.json.json
import org.fedrela.core.json.list
import org.fedrela.core.json.members
import org.fedrela.core.json.parse
import org.fedrela.core.json.text
import org.fedrela.core.json.writeJson

private const val KEY = "kept.json"

/** A task that was worked on, by [taskKey]: its manifest and everything else of it that lies in `blobs/`, by hash. */
internal class Kept(val task: String, val manifest: String, val blobs: List<String>)

/**
 * Count a task as the most recently used, and forget what no kept task needs: the least recently used goes first, lest
 * whoever publishes tasks fill the device.
 */
internal fun keep(folder: StateFolder, newest: Kept, mostTasks: Int) {
    val known = loadKept(folder)
    val tasks = (known.filter { it.task != newest.task } + newest).takeLast(mostTasks)
    forgetOthers(folder, tasks)
    (known.map { it.task } - tasks.map { it.task }.toSet()).forEach { forgetTask(folder, it) }
    folder.put(KEY, writeJson(json("tasks" to json(tasks.map(::keptJson)))))
}

/** Delete what no kept task needs, also what a crash left. */
private fun forgetOthers(folder: StateFolder, tasks: List<Kept>) {
    val blobs = tasks.flatMap { it.blobs }.toSet()
    val manifests = tasks.map { it.manifest }
    val others = folder.keys("blobs/").filter { it.substringAfter('/') !in blobs } +
        folder.keys("partial/").filter { it.substringAfter('/') !in blobs } +
        folder.keys("self-tests/").filter { key -> manifests.none { key.substringAfter('/').startsWith(it) } }
    others.forEach(folder::delete)
}

private fun loadKept(folder: StateFolder): List<Kept> = try {
    folder.get(KEY)
        ?.let { members { fields -> fields.required("tasks", list(members { kept(it) })) }.parse(it) }
        .orEmpty()
} catch (_: InvalidInput) {
    emptyList()
}

private fun keptJson(kept: Kept) = json(
    "task" to json(kept.task),
    "manifest" to json(kept.manifest),
    "blobs" to json(kept.blobs.map { json(it) }),
)

private fun kept(fields: Fields) =
    Kept(fields.required("task", text), fields.required("manifest", text), fields.required("blobs", list(text)))
