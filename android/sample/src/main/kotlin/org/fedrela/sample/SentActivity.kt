package org.fedrela.sample

import android.app.Activity
import android.os.Bundle
import org.fedrela.sample.screens.drawSent

/** Everything that has left the phone, for its owner to read. */
public class SentActivity : Activity() {
    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        (application as App).device.sent { if (!isDestroyed) drawSent(this, it) }
    }
}
