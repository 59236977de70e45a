package org.fedrela.sample.state

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class ClassesTest {
    private val pets = Classes(2, listOf("cat", "dog"))
    private fun home(classes: Classes?, vararg files: Pair<String, List<String>>) =
        Home().with(classes, files.toMap()) { "Class $it" }

    @Test
    fun `pictures lie in the classes that they were put into`() {
        val home = home(pets, "dog" to listOf("a", "b"))
        assertEquals(listOf(PictureClass("cat", "cat"), PictureClass("dog", "dog", listOf("a", "b"))), home.classes)
        assertEquals(emptyList<PictureClass>(), home.unsorted)
        assertEquals(2, home.pictures)
    }

    @Test
    fun `pictures of another task's class are asked about, and not counted`() {
        val home = home(pets, "zebra" to listOf("z"), "cat" to listOf("c"))
        assertEquals(listOf(PictureClass("zebra", "zebra", listOf("z"))), home.unsorted)
        assertEquals(1, home.pictures)
    }

    @Test
    fun `a model without names has numbers, which are words for pictures as well`() {
        val home = home(Classes(3, emptyList()), "2" to listOf("a"), "cat" to listOf("c"))
        assertEquals(PictureClass("Class 2", "2", listOf("a")), home.classes!![2])
        assertEquals(listOf("cat"), home.unsorted.map { it.name })
    }

    @Test
    fun `before a task is known there are no classes`() {
        assertEquals(null, home(null, "cat" to listOf("c")).classes)
    }
}
