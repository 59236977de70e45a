// Last run by: nobody yet. Written for the Android Gradle Plugin 9.5.1 and the Gradle 9 that it asks for.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "fedrela"

include(":client", ":onnx", ":executorch", ":android", ":workmanager", ":sample")
