package org.fedrela.android

import android.system.Os
import org.robolectric.annotation.Implementation
import org.robolectric.annotation.Implements

/** The environment of a phone's process: Robolectric's forgets what is set. */
@Implements(Os::class)
internal class ShadowEnvironment {
    companion object {
        val variables = HashMap<String, String>()

        @JvmStatic
        @Implementation
        fun setenv(name: String, value: String, overwrite: Boolean) {
            if (overwrite || name !in variables) variables[name] = value
        }

        @JvmStatic
        @Implementation
        fun getenv(name: String): String? = variables[name]
    }
}
