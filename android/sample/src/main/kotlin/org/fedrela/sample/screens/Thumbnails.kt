package org.fedrela.sample.screens

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.util.LruCache
import android.widget.ImageView
import java.util.concurrent.Executor

private const val KEPT = 200 // small pictures; each takes a few tens of kilobytes

/** Small views of pictures. Large ones are read in `executor`, so that nobody waits for them; used by one thread. */
internal class Thumbnails(private val executor: Executor) {
    private val cache = LruCache<String, Bitmap>(KEPT)

    /** Show the picture of a file in a view, as soon as it is read. */
    fun show(path: String, view: ImageView) {
        val size = view.layoutParams.width
        val known = cache.get(path)
        view.tag = path
        if (known != null) return view.setImageBitmap(known)
        executor.execute {
            val small = small(path, size) ?: return@execute
            view.post {
                cache.put(path, small)
                if (view.tag == path) view.setImageBitmap(small)
            }
        }
    }
}

/** A picture of a file at about that size; null where it can't be read. */
private fun small(path: String, size: Int): Bitmap? {
    val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
    BitmapFactory.decodeFile(path, bounds)
    val shorter = minOf(bounds.outWidth, bounds.outHeight)
    if (shorter <= 0) return null
    val options = BitmapFactory.Options().apply { inSampleSize = Integer.highestOneBit(maxOf(1, shorter / size)) }
    return BitmapFactory.decodeFile(path, options)
}
