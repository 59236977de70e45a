package org.fedrela.android

/** When the system may start a job: all of it must hold. Tasks and settings may ask for more. */
public class Schedule(
    public val charging: Boolean = true,
    public val unmetered: Boolean = true, // a network that costs nothing; otherwise any
    public val idle: Boolean = true, // the phone is not in use
)
