package org.fedrela.sample.screens

import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import org.fedrela.sample.R

/** A layout, added as the last child of `into`. */
internal fun <T : View> inflated(into: ViewGroup, layout: Int): T {
    LayoutInflater.from(into.context).inflate(layout, into, true)
    @Suppress("UNCHECKED_CAST")
    return into.getChildAt(into.childCount - 1) as T
}

/** A name and its value in one row, read aloud as one. */
internal fun addFigure(into: ViewGroup, name: String, value: String) {
    val row = inflated<View>(into, R.layout.figure)
    row.findViewById<TextView>(R.id.label)!!.text = name
    row.findViewById<TextView>(R.id.value)!!.text = value
    row.contentDescription = "$name: $value"
}
