// Last run by: nobody yet. Written for the Android Gradle Plugin 9.5.1 and the Gradle 9 that it asks for.
plugins {
    alias(libs.plugins.kotlin.jvm)
}

base.archivesName = "fedrela-client"

java {
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}

kotlin {
    explicitApi()
}

dependencies {
    api(libs.okhttp)
    implementation(libs.bouncycastle)
}
