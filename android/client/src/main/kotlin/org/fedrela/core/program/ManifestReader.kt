package org.fedrela.core.program

import org.fedrela.core.json.Fields
import org.fedrela.core.json.Json
import org.fedrela.core.json.Read
import org.fedrela.core.json.bool
import org.fedrela.core.json.characters
import org.fedrela.core.json.choice
import org.fedrela.core.json.features
import org.fedrela.core.json.intFrom
import org.fedrela.core.json.list
import org.fedrela.core.json.listOf
import org.fedrela.core.json.matching
import org.fedrela.core.json.members
import org.fedrela.core.json.natural
import org.fedrela.core.json.parse
import org.fedrela.core.json.real
import org.fedrela.core.json.realAbove
import org.fedrela.core.json.requireInput
import org.fedrela.core.json.sha256
import org.fedrela.core.json.tableOf
import org.fedrela.core.json.text
import org.fedrela.core.json.versionOrNone
import org.fedrela.core.json.whole
import org.fedrela.core.json.wholeFrom
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.MOST_DIMENSIONS

// A plain file name: no separator, no control character, neither "." nor "..".
private const val PATH_PATTERN =
    "(\\.{3}[^/\\\\\\x00-\\x1f\\x7f]*|\\.{0,2}[^./\\\\\\x00-\\x1f\\x7f][^/\\\\\\x00-\\x1f\\x7f]*)"
private val fileName = characters(1, 200, matching(PATH_PATTERN, "a plain file name"))
private val fileBytes = intFrom(1, Int.MAX_VALUE)

/** A dimension as it is written; whether it fits its role says the contract of the programs. */
internal sealed interface Written {
    class Number(val value: Long) : Written
    class Name(val value: String) : Written
}

internal class WrittenInput(val name: String, val role: Role, val shape: List<Written>, val dtype: Dtype)

internal class WrittenProgram(val inputs: List<WrittenInput>, val outputs: List<String>, val files: List<ProgramFile>)

/**
 * Read a manifest. Throws [org.fedrela.core.InvalidInput] for whatever no device could use, before a runtime sees it.
 */
public fun readManifest(body: ByteArray): Manifest = members { manifest(it) }.parse(body)

private fun manifest(fields: Fields): Manifest {
    fields.optional("loss", text, "")
    fields.optional("optimizer", text, "")
    fields.optional("schema_version", wholeFrom(1, 1), 1L)
    val classes = fields.required("classes", intFrom(2, 1_000_000))
    val written = ProgramName.entries.associateWith { fields.required(it.word, members { program(it) }) }
    val manifest = Manifest(
        name = fields.required("name", characters(1, 200)),
        classes = classes,
        classNames = fields.optional("class_names", list(characters(1, 200)), emptyList()),
        programs = checkedPrograms(written, classes),
        golden = fields.required("golden", members { golden(it) }),
        hyperparameters = fields.nullable("hyperparameters", tableOf(real, 100)).orEmpty(),
        preprocessing = fields.section("preprocessing", members { preprocessing(it) }),
        requires = fields.optional("requires", features, emptyList()),
    )
    checkNames(manifest, fields.optional("lowest_values", tableOf(real, 10_000), emptyMap()).keys)
    return manifest
}

/** Names that must be those of something else in the manifest. */
private fun checkNames(manifest: Manifest, lowestValues: Set<String>) {
    val names = manifest.classNames
    requireInput(names.toSet().size == names.size, "two classes have one name", "give each its own")
    requireInput(
        names.isEmpty() || names.size == manifest.classes,
        "${names.size} class names for ${manifest.classes} classes",
        "name every class once",
    )
    val taken = manifest.trainStep.inputs(Role.HYPERPARAMETER).map { it.name }
    requireInput(taken.containsAll(manifest.hyperparameters.keys), "a hyperparameter is no input of train_step", AGAIN)
    requireInput(manifest.statistics.containsAll(lowestValues), "a lowest value is that of no statistic", AGAIN)
}

private fun preprocessing(fields: Fields): Preprocessing {
    fields.optional("columns", listOf(text, 0, 10_000), emptyList())
    val fit = fields.optional("fit", choice(Fit.entries.associateBy { it.word }), Fit.EXACT)
    val resize = fields.optional("resize", bool, false) // what bundles said before there was `fit`
    return Preprocessing(
        kind = fields.optional("kind", choice(DataKind.entries.associateBy { it.word }), DataKind.RAW),
        grayscale = fields.optional("grayscale", bool, false),
        fit = if (resize && "fit" !in fields) Fit.STRETCH else fit,
    )
}

private fun golden(fields: Fields) = GoldenSteps(
    path = fields.required("path", fileName),
    sha256 = fields.required("sha256", sha256),
    sizeBytes = fields.required("size_bytes", fileBytes),
    seed = fields.optional("seed", natural, 0L),
    steps = fields.optional("steps", intFrom(1, 1024), 3),
    batch = fields.optional("batch", intFrom(1, 1024), 8),
    tokenLimit = fields.optional("token_limit", intFrom(0, Int.MAX_VALUE), 0),
    tolerance = fields.optional("tolerance", realAbove(0.0, 1e-3), 1e-4),
)

private fun program(fields: Fields) = WrittenProgram(
    inputs = fields.required("inputs", listOf(members { input(it) }, 1, 10_000)),
    outputs = fields.required("outputs", list(text)),
    files = fields.required("files", listOf(members { file(it) }, 1, 2)),
)

private fun input(fields: Fields) = WrittenInput(
    name = fields.required("name", characters(1, 500)),
    role = fields.required("role", choice(Role.entries.associateBy { it.word })),
    shape = fields.required("shape", listOf(dimension, 0, MOST_DIMENSIONS)),
    dtype = fields.optional("dtype", choice(Dtype.entries.associateBy { it.word }), Dtype.FLOAT32),
)

private val dimension: Read<Written> = { value, path ->
    if (value is Json.Text) Written.Name(value.value) else Written.Number(whole(value, path))
}

private fun file(fields: Fields) = ProgramFile(
    runtime = fields.required("runtime", choice("onnx", "executorch")),
    path = fields.required("path", fileName),
    sha256 = fields.required("sha256", sha256),
    sizeBytes = fields.required("size_bytes", fileBytes),
    minRuntimeVersion = fields.required("min_runtime_version", versionOrNone),
    maxBatch = fields.optional("max_batch", intFrom(0, 1_000_000), 0),
)
