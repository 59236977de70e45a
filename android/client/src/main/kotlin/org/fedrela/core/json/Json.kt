package org.fedrela.core.json

/** A JSON value. `1` and `1.0` stay apart: the first is whole, the second is not. */
public sealed interface Json {
    public object Null : Json
    public class Bool(public val value: Boolean) : Json
    public class Text(public val value: String) : Json
    public class Whole(public val value: Long) : Json
    public class Real(public val value: Double) : Json
    public class Items(public val values: List<Json>) : Json
    public class Members(public val values: Map<String, Json>) : Json
}

public fun json(value: String): Json = Json.Text(value)

public fun json(value: Long): Json = Json.Whole(value)

public fun json(value: Double): Json = Json.Real(value)

public fun json(value: Boolean): Json = Json.Bool(value)

public fun json(values: List<Json>): Json = Json.Items(values)

public fun json(vararg members: Pair<String, Json>): Json.Members = Json.Members(linkedMapOf(*members))
