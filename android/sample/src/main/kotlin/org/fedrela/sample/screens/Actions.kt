package org.fedrela.sample.screens

import org.fedrela.sample.state.Choices
import org.fedrela.sample.state.PictureClass

/** What the owner of the phone can do; each screen has some of it. */
internal class Actions(
    val look: (link: String) -> Unit = {},
    val agree: () -> Unit = {},
    val refuse: () -> Unit = {},
    val trainNow: () -> Unit = {},
    val choose: (Choices) -> Unit = {},
    val addPictures: (PictureClass) -> Unit = {},
    val removePicture: (path: String) -> Unit = {},
    val sortAs: (unsorted: PictureClass, into: PictureClass) -> Unit = { _, _ -> },
    val showSent: () -> Unit = {},
    val leave: () -> Unit = {},
)
