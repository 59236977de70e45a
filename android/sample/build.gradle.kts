// Last run by: nobody yet. Written for the Android Gradle Plugin 9.5.1 and the Gradle 9 that it asks for.
plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.fedrela.sample"
    compileSdk = libs.versions.compileSdk.get().toInt()
    defaultConfig {
        applicationId = "org.fedrela.sample"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = 1
        versionName = libs.versions.fedrela.get()
    }
    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles("proguard-rules.pro")
        }
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
    implementation(project(":android"))
    implementation(project(":onnx"))
    implementation(libs.onnxruntime.android)
    compileOnly(libs.annotation)
}
