package org.fedrela.vectors

import org.fedrela.client.Event
import org.fedrela.client.Settings
import org.fedrela.client.World
import org.fedrela.client.network.Job
import org.fedrela.client.storage.HeldAssignment
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.storage.clearAssignment
import org.fedrela.client.storage.commitResidual
import org.fedrela.client.storage.loadAssignment
import org.fedrela.client.storage.loadOverlay
import org.fedrela.client.storage.loadResidual
import org.fedrela.client.storage.loadSnapshot
import org.fedrela.client.training.Conditions
import org.fedrela.client.training.Examples
import org.fedrela.client.training.Overlay
import org.fedrela.client.training.RoundWork
import org.fedrela.client.training.Surroundings
import org.fedrela.core.json.Json
import org.fedrela.core.task.readTask
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.floats
import org.fedrela.core.tensors.longs
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.trust.fromHex
import org.fedrela.core.wire.Assignment
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.file.Files

/** The process ends here: nothing that comes later happens. */
private class Killed : Error()

/** A device goes on after a kill, lays labels over grown data and owes what top-k dropped, as the vectors say. */
class AssignmentsTest {
    @TempDir
    lateinit var temporary: File

    private val document = Vectors.json("assignments/assignments.json")
    private val model = "models/${document["model"].text}"
    private val cases =
        Vectors.json("models/models.json").items.single { it["name"].text == document["model"].text }["cases"]
        .items.associateBy { it["name"].text }
    private val engine = openBundle("$model/bundle")
    private val weights = weights(model, engine.manifest)
    private val allRows = examples(model)

    private fun folder() = StateFolder(Files.createTempDirectory(temporary.toPath(), "state").toFile())

    /** What a device does of an assignment, from whatever its folder holds. */
    private fun work(
        folder: StateFolder,
        case: Json,
        round: Long,
        examples: Examples,
        checkpointSteps: Int = 1000,
        emit: (Event) -> Unit = {},
    ): RoundWork {
        val (hash, task) = "0".repeat(64) to readTask(case["task"].text.toByteArray())
        val assignment = Assignment("a", "task", round, hash, hash, hash, 1, 1000.0, 1000.0, "token", 1, "", null)
        val held = loadAssignment(folder) ?: HeldAssignment(assignment, 0.0)
        val settings = Settings(checkpointSteps = checkpointSteps)
        val around = Surroundings(folder, { examples }, settings, { Conditions() }, World(now = { 1.0 }), emit)
        return RoundWork(Job(assignment, task, engine, weights), held, fromHex(case["secret"].text)!!, around) {}
    }

    private fun work(folder: StateFolder, case: Json, examples: Examples, emit: (Event) -> Unit = {}) =
        work(folder, case, case["round"].long, examples, emit = emit)

    /** Ends the process when the step after `step` has been computed and nothing of it was kept. */
    private fun killAfter(step: Int, folder: StateFolder, case: Json, examples: Examples) {
        val work = work(folder, case, case["round"].long, examples, checkpointSteps = step) { event ->
            if (event.kind == Event.Kind.STEP && event.step == step + 1) throw Killed()
        }
        assertThrows(Killed::class.java) { work.update() }
    }

    /** The examples that `data` describes: rows of the model's file, with what is different in them. */
    private fun examples(data: Json): Examples {
        val rows = data["rows"].longs
        val taken = allRows.take(rows.map { it.toInt() }.toIntArray())
        for (change in data.find("labels")?.items.orEmpty()) {
            val (row, label) = change.longs
            taken.y[rows.indexOf(row)] = label
        }
        for (change in data.find("values")?.items.orEmpty()) {
            val x = taken.x.values.single() as ByteTensor
            val at = rows.indexOf(change.items[0].long) * (x.size / rows.size) + change.items[1].int
            x.values[at] = change.items[2].int.toByte()
        }
        return Examples(taken.x, taken.y, rows)
    }

    private fun assertBody(expected: String, body: ByteArray?) =
        assertUpdate(weights, Vectors.tensors(expected), readTensors(body!!).tensors)

    @TestFactory
    fun `a device that is killed goes on from what it kept`(): List<DynamicTest> =
        tests(document["kills"].items, { "${it["case"].text}, ${it["killed_after"].longs.toList()}" }) { kill ->
            val (case, folder) = cases.getValue(kill["case"].text) to folder()
            for (step in kill["killed_after"].longs) killAfter(step.toInt(), folder, case, allRows)
            val snapshot = loadSnapshot(folder, engine.manifest.carried)!!
            assertEquals(kill["killed_after"].longs.last().toInt(), snapshot.steps)
            assertAllClose(Vectors.tensors("assignments/${kill["state"].text}"), snapshot.carried)
            val steps = ArrayList<Int>()
            val resumed = work(folder, case, allRows) { steps.add(it.step) }.update()
            assertEquals((snapshot.steps + 1..kill["steps"].int).toList(), steps.filter { it > 0 })
            assertArrayEquals(work(folder(), case, allRows).update(), resumed)
            assertBody("$model/${kill["case"].text}.safetensors", resumed)
        }

    @TestFactory
    fun `a round whose data changed starts over`(): List<DynamicTest> = tests(document["changes"].items) { case ->
        val (folder, step) = folder() to case["killed_after"].int
        killAfter(step, folder, case, examples(case["before"]))
        val steps = ArrayList<Int>()
        val body = work(folder, case, examples(case["after"])) { steps.add(it.step) }.update()
        assertEquals(if (case["starts_over"].bool) 1 else step + 1, steps.first { it > 0 })
        assertBody("assignments/${case["expected"].text}", body)
    }

    private fun ofLabels(data: Json): Examples {
        val labels = data["labels"].longs
        val x = mapOf("x" to FloatTensor(listOf(labels.size, 1), FloatArray(labels.size)))
        return Examples(x, labels, data["keys"].longs)
    }

    @TestFactory
    fun `an overlay is of samples and not of rows`(): List<DynamicTest> = tests(document["overlays"].items) { case ->
        val overlay = Overlay.of(ofLabels(case["made"]), case["made"]["relabeled"].longs, generation = 1)
        assertEquals(case["kept"].items.map { it.longs.toList() }, overlay.relabeled.map { listOf(it.key, it.value) })
        assertArrayEquals(case["train_on"].longs, Overlay.fromBytes(overlay.toBytes()).labels(ofLabels(case["later"])))
    }

    @TestFactory
    fun `labels stay laid over data that grow`(): List<DynamicTest> = tests(document["growing"].items) { growing ->
        val folder = folder()
        for (item in growing["rounds"].items) {
            val examples = examples(item["data"])
            val body = work(folder, growing, item["round"].long, examples).update()
            val overlay = loadOverlay(folder, "task")!!
            assertEquals(item["generation"].int, overlay.generation)
            val expected = "assignments/${item["expected"].text}"
            assertArrayEquals(Vectors.tensors(expected).longs("labels"), overlay.labels(examples))
            assertBody(expected, body)
            clearAssignment(folder)
        }
    }

    @Test
    fun `what an update dropped is owed from its receipt on`() {
        val (topK, folder) = document["top_k"] to folder()
        for (item in topK["assignments"].items) {
            val body = work(folder, topK, item["round"].long, allRows).update()!!
            assertSparse(Vectors.bytes("assignments/${item["update"].text}"), body)
            if ("receipt" in item["ends"].text) {
                commitResidual(folder, "task")
                commitResidual(folder, "task") // a kill in between: the second time changes nothing
            }
            clearAssignment(folder)
            val owed = loadResidual(folder, "task", engine.manifest.parameters)
            assertEquals(item["residual"].text.isNotEmpty(), owed.isNotEmpty())
            if (owed.isNotEmpty()) assertAllClose(Vectors.tensors("assignments/${item["residual"].text}"), owed)
        }
    }

    private fun assertSparse(want: ByteArray, got: ByteArray) {
        val (expected, update) = readTensors(want) to readTensors(got)
        assertEquals(expected.metadata, update.metadata)
        for ((name, tensor) in expected.tensors)
            if (tensor is IntTensor)
                assertArrayEquals(tensor.values, (update.tensors.getValue(name) as IntTensor).values)
        assertAllClose(expected.tensors.filterValues { it is FloatTensor }, update.tensors)
    }

    private fun assertAllClose(want: Tensors, got: Tensors) {
        for (name in want.keys) assertClose(want.floats(name), got.floats(name), name)
    }
}
