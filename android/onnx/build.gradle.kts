// Last run by: nobody yet. Written for the Android Gradle Plugin 9.5.1 and the Gradle 9 that it asks for.
plugins {
    alias(libs.plugins.android.library)
}

base.archivesName = "fedrela-onnx"

android {
    namespace = "org.fedrela.onnx"
    compileSdk = libs.versions.compileSdk.get().toInt()
    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
        consumerProguardFiles("proguard.txt")
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
}

kotlin {
    explicitApi()
}

dependencies {
    api(project(":client"))
    compileOnly(libs.onnxruntime)
}
