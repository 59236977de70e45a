// Last run by: nobody yet. Written for the Android Gradle Plugin 9.5.1 and the Gradle 9 that it asks for.
plugins {
    alias(libs.plugins.kotlin.jvm) apply false
    alias(libs.plugins.android.library) apply false
    alias(libs.plugins.android.application) apply false
}

// Class files of Java 8, which apps with an older Kotlin link; what Maven's build says as well.
subprojects {
    group = "org.fedrela"
    version = rootProject.libs.versions.fedrela.get()
    tasks.withType<org.jetbrains.kotlin.gradle.tasks.KotlinCompile>().configureEach {
        compilerOptions {
            jvmTarget = org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_1_8
            languageVersion = org.jetbrains.kotlin.gradle.dsl.KotlinVersion.KOTLIN_2_1
            apiVersion = org.jetbrains.kotlin.gradle.dsl.KotlinVersion.KOTLIN_2_1
            freeCompilerArgs.addAll("-Xno-call-assertions", "-Xno-receiver-assertions")
        }
    }
}
