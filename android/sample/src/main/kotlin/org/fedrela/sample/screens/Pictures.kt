package org.fedrela.sample.screens

import android.view.View
import android.view.ViewGroup
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.ImageButton
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.Spinner
import android.widget.TextView
import org.fedrela.sample.R
import org.fedrela.sample.state.Home
import org.fedrela.sample.state.PictureClass

private const val SHOWN = 10 // pictures of a class

/** The classes with their pictures, and those pictures of which their owner must say what they are here. */
internal fun drawPictures(root: View, screen: Home, thumbnails: Thumbnails, actions: Actions) {
    val classes = screen.classes
    val note = if (classes == null) R.string.pictures_unknown else R.string.pictures_note
    root.findViewById<TextView>(R.id.pictures_note)!!.setText(note)
    val list = root.findViewById<ViewGroup>(R.id.classes)!!
    list.removeAllViews()
    for (each in classes.orEmpty()) drawClass(list, each, thumbnails, actions)
    for (each in screen.unsorted) drawUnsorted(list, each, classes.orEmpty(), actions)
}

private fun drawClass(list: ViewGroup, shown: PictureClass, thumbnails: Thumbnails, actions: Actions) {
    val entry = inflated<View>(list, R.layout.class_entry)
    named(entry, shown)
    entry.findViewById<View>(R.id.strip)!!.visibility = if (shown.pictures.isEmpty()) View.GONE else View.VISIBLE
    val strip = entry.findViewById<ViewGroup>(R.id.pictures)!!
    for (path in shown.pictures.take(SHOWN)) drawPicture(strip, path, shown.name, thumbnails, actions)
    val more = shown.pictures.size - SHOWN
    if (more > 0) {
        val rest = inflated<TextView>(strip, R.layout.paragraph)
        rest.layoutParams.width = ViewGroup.LayoutParams.WRAP_CONTENT
        rest.text = list.resources.getQuantityString(R.plurals.more_pictures, more, more)
    }
    val add = entry.findViewById<Button>(R.id.add)!!
    add.contentDescription = list.context.getString(R.string.add_pictures_to, shown.name)
    add.setOnClickListener { actions.addPictures(shown) }
}

private fun drawPicture(strip: ViewGroup, path: String, name: String, thumbnails: Thumbnails, actions: Actions) {
    val (size, gap) = listOf(R.dimen.picture, R.dimen.small_gap).map { strip.resources.getDimensionPixelSize(it) }
    val button = ImageButton(strip.context)
    button.layoutParams = LinearLayout.LayoutParams(size, size).apply { marginEnd = gap }
    button.setBackgroundResource(R.drawable.field)
    button.clipToOutline = true
    button.setPadding(0, 0, 0, 0)
    button.scaleType = ImageView.ScaleType.CENTER_CROP
    button.contentDescription = strip.context.getString(R.string.remove_picture, name)
    button.setOnClickListener { actions.removePicture(path) }
    strip.addView(button)
    thumbnails.show(path, button)
}

/** Pictures that were sorted for another task: which class are they here? Until that is said nothing is trained. */
private fun drawUnsorted(list: ViewGroup, shown: PictureClass, classes: List<PictureClass>, actions: Actions) {
    val entry = inflated<View>(list, R.layout.unsorted_entry)
    named(entry, shown)
    val choice = entry.findViewById<Spinner>(R.id.choice)!!
    val names = ArrayAdapter(list.context, R.layout.spinner_item, classes.map { it.name })
    names.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
    choice.adapter = names
    choice.contentDescription = list.context.getString(R.string.unsorted_class, shown.name)
    val use = entry.findViewById<Button>(R.id.use)!!
    use.isEnabled = classes.isNotEmpty()
    use.setOnClickListener { actions.sortAs(shown, classes[choice.selectedItemPosition]) }
}

private fun named(entry: View, shown: PictureClass) {
    val name = entry.context.getString(R.string.class_count, shown.name, shown.pictures.size)
    entry.findViewById<TextView>(R.id.name)!!.text = name
}
