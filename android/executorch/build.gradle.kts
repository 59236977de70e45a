// Last run by: nobody yet. Written for the Android Gradle Plugin 9.5.1 and the Gradle 9 that it asks for.
plugins {
    alias(libs.plugins.kotlin.jvm)
}

base.archivesName = "fedrela-executorch"

java {
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}

kotlin {
    explicitApi()
}

// What stands for executorch-android, an AAR, which only a module for Android could take. An app brings it.
val declarations by sourceSets.creating

dependencies {
    api(project(":client"))
    compileOnly(declarations.output)
}
