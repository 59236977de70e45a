package org.fedrela.onnx

import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import org.fedrela.client.engine.Engine
import org.fedrela.client.engine.EngineFactory
import org.fedrela.core.NotEligible
import org.fedrela.core.onnx.checkProgram
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName


/** ONNX Runtime on the processor. `threads`: half of the cores, four at most, is a good choice on a phone. */
public class OnnxRuntime(private val threads: Int = 1) : EngineFactory {
    // Versions of the runtime that would send events about its use are told not to.
    private val environment: OrtEnvironment by lazy { OrtEnvironment.getEnvironment().also { it.setTelemetry(false) } }

    override val name: String = "onnx"
    override val version: String get() = environment.version

    override fun open(manifest: Manifest, programs: Map<ProgramName, ByteArray>): Engine {
        for ((name, body) in programs) checkProgram(body, name.word)
        val sessions = LinkedHashMap<ProgramName, OrtSession>()
        try {
            for ((name, body) in programs) sessions[name] = session(name, body)
        } catch (fault: NotEligible) {
            sessions.values.forEach { it.close() }
            throw fault
        }
        return OnnxEngine(manifest, environment, sessions)
    }

    private fun session(name: ProgramName, body: ByteArray): OrtSession = try {
        options().use { environment.createSession(body, it) }
    } catch (fault: OrtException) {
        val problem = "onnxruntime $version can't load program ${name.word} (${fault.message?.take(200)})"
        throw NotEligible(problem, "update the app, or export the model again", fault)
    }

    private fun options() = OrtSession.SessionOptions().apply {
        setIntraOpNumThreads(threads)
        setInterOpNumThreads(1)
        setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR)
        setOptimizationLevel(OrtSession.SessionOptions.OptLevel.EXTENDED_OPT)
        // A memory pattern is a second plan of the whole step, made after the first run, whose memory stays: twice the
        // peak.
        setMemoryPatternOptimization(false)
        // Between two operators of a step threads spin: waking them takes longer. Between two steps they sleep.
        addConfigEntry("session.force_spinning_stop", "1")
    }
}
