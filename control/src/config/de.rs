//! From the tree to typed values by way of serde. Unlike an ordinary deserializer it does not stop at the first
//! fault: each fault is told where it is found, and [`Field`] keeps the damage to the value it wraps.
use super::node::{Key, Node, Value};
use super::problem::{Place, Problems, suggestion};
use serde::de::value::{StrDeserializer, StringDeserializer, U64Deserializer};
use serde::de::{self, Deserialize, DeserializeSeed, IntoDeserializer, Visitor};
use std::fmt;
use std::marker::PhantomData;

const FIELD: &str = "$field";
const EITHER: &str = "$either";
const MANY: &str = "$many";
/// An enum of this name is a secret: its text appears in no message.
pub const SECRET: &str = "$secret";

/// Reads `T` from a tree; the reasons why not are in `problems`.
pub fn read<'a, T: Deserialize<'a>>(node: &'a Node, problems: &'a Problems) -> Option<T> {
    T::deserialize(De { node, problems }).ok()
}

/// A value with its place and text. A value that is wrong is told once and then is `None`, so that what stands
/// beside it is still looked at.
#[derive(Debug)]
pub struct Field<T> {
    /// Where the value begins.
    pub place: Place,
    /// Its text, for messages; never a key.
    pub text: String,
    value: Option<T>,
}

impl<T> Field<T> {
    /// The value, unless it was wrong.
    pub fn ok(&self) -> Option<&T> {
        self.value.as_ref()
    }
    /// Tells of a fault in this value.
    pub fn tell(&self, problems: &Problems, message: impl Into<String>) {
        problems.tell(self.place, &self.text, message);
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(FIELD, FieldVisitor(PhantomData))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

struct FieldVisitor<T>(PhantomData<T>);
impl<'de, T: Deserialize<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let missing = || de::Error::custom("no value");
        let packed: u64 = seq.next_element()?.ok_or_else(missing)?;
        let place = Place { line: (packed >> 32) as u32, column: packed as u32 };
        // The value first: whether its text may be shown is known then.
        let value = seq.next_element().ok().flatten();
        let text = seq.next_element()?.ok_or_else(missing)?;
        Ok(Field { place, text, value })
    }
}

/// Text for the usual case, or a mapping that says more. The text is judged where it is used.
#[derive(Debug)]
pub enum Either<T> {
    /// As written.
    Text(String),
    /// Key by key.
    Map(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Either<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Choice<T> {
            type Value = Either<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a mapping")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Either::Text(text.to_owned()))
            }
            fn visit_newtype_struct<D: de::Deserializer<'de>>(
                self,
                inner: D,
            ) -> Result<Self::Value, D::Error> {
                T::deserialize(inner).map(Either::Map)
            }
        }
        deserializer.deserialize_newtype_struct(EITHER, Choice(PhantomData))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Either<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("TextOr{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let map = generator.subschema_for::<T>();
        schemars::json_schema!({ "oneOf": [{ "type": "string" }, map] })
    }
}

/// One value, or a list of them.
#[derive(Debug)]
pub struct Many<T>(pub Vec<Field<T>>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Several<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Several<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(Many(all))
            }
            fn visit_newtype_struct<D: de::Deserializer<'de>>(
                self,
                inner: D,
            ) -> Result<Self::Value, D::Error> {
                Field::deserialize(inner).map(|one| Many(vec![one]))
            }
        }
        deserializer.deserialize_newtype_struct(MANY, Several(PhantomData))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Many<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMore{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        let list = serde_json::json!({ "type": "array", "items": one, "minItems": 1 });
        schemars::json_schema!({ "anyOf": [one, list] })
    }
}

/// A mapping from names of the operator's choice, in the order of the file.
#[derive(Debug)]
pub struct Map<T>(pub Vec<(Field<String>, Field<T>)>);

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Map<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Map<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let value = generator.subschema_for::<T>();
        let name = "^[A-Za-z0-9][A-Za-z0-9._-]*$";
        schemars::json_schema!({
            "type": "object", "propertyNames": { "pattern": name }, "additionalProperties": value
        })
    }
}

struct MapVisitor<T>(PhantomData<T>);
impl<'de, T: Deserialize<'de>> Visitor<'de> for MapVisitor<T> {
    type Value = Map<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping from names")
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Map(entries))
    }
}

/// Why a value cannot be had.
#[derive(Debug)]
pub enum Stop {
    /// The operator will read why.
    Told,
    /// Not yet: the deserializer that knows the place must tell it.
    Untold(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told => f.write_str("told"),
            Self::Untold(why) => f.write_str(why),
        }
    }
}
impl std::error::Error for Stop {}
impl de::Error for Stop {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self::Untold(message.to_string())
    }
    fn missing_field(field: &'static str) -> Self {
        Self::Untold(format!("the key '{field}' is missing here; add it"))
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::Untold(format!("not one of the choices; {}", suggestion(variant, expected)))
    }
    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Untold(format!("the wrong kind of value; write {expected}"))
    }
}

#[derive(Clone, Copy)]
struct De<'a> {
    node: &'a Node,
    problems: &'a Problems,
}

impl<'a> De<'a> {
    fn stop(&self, message: String) -> Stop {
        self.problems.tell(self.node.place, &self.node.shown(), message);
        Stop::Told
    }
    /// Every result passes through here once, at the node it is about.
    fn told<T>(&self, result: Result<T, Stop>) -> Result<T, Stop> {
        result.map_err(|stop| match stop {
            Stop::Untold(why) => self.stop(why),
            Stop::Told => Stop::Told,
        })
    }
    fn scalar(&self, expected: &dyn de::Expected) -> Result<(&'a str, bool), Stop> {
        match &self.node.value {
            Value::Scalar { text, quoted } => Ok((text.as_str(), *quoted)),
            Value::Empty => Err(self.stop(format!("no value; write {expected}"))),
            _ => Err(self.stop(format!("the wrong kind of value; write {expected}"))),
        }
    }
    fn unsigned(&self, max: u64, expected: &dyn de::Expected) -> Result<u64, Stop> {
        let (text, _) = self.scalar(expected)?;
        let number = integer(text).map_err(|why| self.stop(why))?;
        if number > max {
            return Err(self.stop(format!("too large; at most {max} is possible here")));
        }
        Ok(number)
    }
    fn entries(&self, expected: &dyn de::Expected) -> Result<&'a [(Key, Node)], Stop> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            Value::Empty => Ok(&[]),
            _ => Err(self.stop(format!("the wrong kind of value; write {expected}"))),
        }
    }
}

/// A decimal or 0x-number. What other readers of YAML take for octal, or for a float, is refused.
fn integer(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    if let Some(hex) = digits {
        let ok = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let number = ok.then(|| u64::from_str_radix(hex, 16).ok()).flatten();
        return number.ok_or_else(|| "not a hexadecimal number; write it like 0x1001".to_owned());
    }
    if text.starts_with('-') {
        return Err("negative; write a whole number from 0".to_owned());
    }
    let decimal = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let octal = text.starts_with("0o") || decimal && text.len() > 1 && text.starts_with('0');
    if octal {
        let plain = text.trim_start_matches("0o").trim_start_matches('0');
        let plain = if plain.is_empty() { "0" } else { plain };
        return Err(format!(
            "could be read as octal; write it without the leading 0, as {plain} or 0x{plain}"
        ));
    }
    if !decimal {
        return Err("not a number; write a whole number, decimal or like 0x1001".to_owned());
    }
    text.parse().map_err(|_| "too large for a number".to_owned())
}

fn boolean(text: &str, quoted: bool) -> Result<bool, String> {
    match (text, quoted) {
        ("true", false) => Ok(true),
        ("false", false) => Ok(false),
        _ => Err(match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => "not a truth value here; write true".to_owned(),
            "false" | "no" | "off" | "n" | "0" => "not a truth value here; write false".to_owned(),
            _ => "not a truth value; write true or false".to_owned(),
        }),
    }
}

macro_rules! unsigned {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            let number = self.unsigned(u64::from(<$type>::MAX), &visitor)?;
            let number = <$type>::try_from(number).map_err(de::Error::custom);
            self.told(number.and_then(|number| visitor.$visit(number)))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for De<'de> {
    type Error = Stop;

    unsigned! {
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let (text, quoted) = self.scalar(&"true or false")?;
        self.told(boolean(text, quoted).map_err(Stop::Untold).and_then(|b| visitor.visit_bool(b)))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let (text, _) = self.scalar(&visitor)?;
        self.told(visitor.visit_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.node.value {
            Value::Empty => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match &self.node.value {
            Value::List(list) => self.told(visitor.visit_seq(List { de: self, rest: list.iter() })),
            Value::Scalar { text, .. } => {
                let text = super::problem::presentable(text);
                Err(self.stop(format!("one value where a list belongs; write [{text}]")))
            }
            _ => Err(self.stop("the wrong kind of value; write a list, like [a, b]".to_owned())),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let entries = self.entries(&visitor)?.iter().collect();
        self.told(visitor.visit_map(Entries { de: self, entries, value: None }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let keys =
            format!("a mapping with keys such as {}", fields.get(..3).unwrap_or(fields).join(", "));
        let entries = self.entries(&keys.as_str())?;
        let known = |(key, _): &&(Key, Node)| {
            let known = fields.contains(&key.text.as_str());
            if !known {
                let message = format!("unknown key; {}", suggestion(&key.text, fields));
                self.problems.tell(key.place, &key.text, message);
            }
            known
        };
        let entries = entries.iter().filter(known).collect();
        self.told(visitor.visit_map(Entries { de: self, entries, value: None }))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        match name {
            FIELD => visitor.visit_seq(FieldParts { de: self, step: 0 }),
            EITHER => match &self.node.value {
                Value::Scalar { text, .. } => self.told(visitor.visit_str(text)),
                _ => visitor.visit_newtype_struct(self),
            },
            MANY => match &self.node.value {
                Value::List(list) => {
                    self.told(visitor.visit_seq(List { de: self, rest: list.iter() }))
                }
                _ => visitor.visit_newtype_struct(self),
            },
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        match &self.node.value {
            Value::Scalar { text, .. } if name == SECRET => {
                self.problems.keep_secret(self.node.place);
                visitor.visit_str(text).map_err(|stop: Stop| {
                    let message = stop.to_string();
                    self.problems.tell(self.node.place, "(secret)", message);
                    Stop::Told
                })
            }
            Value::Scalar { text, .. } => {
                let inner = None;
                self.told(visitor.visit_enum(Variant { de: self, name: text, inner }))
            }
            Value::Map(entries) if entries.len() == 1 => match entries.first() {
                Some((key, inner)) => {
                    let inner = Some(De { node: inner, ..self });
                    let result = visitor.visit_enum(Variant { de: self, name: &key.text, inner });
                    self.told(result)
                }
                None => Err(Stop::Told),
            },
            _ => Err(self.stop(format!("write one of {}", variants.join(", ")))),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match &self.node.value {
            Value::Empty => visitor.visit_unit(),
            Value::Scalar { .. } => self.deserialize_str(visitor),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

struct FieldParts<'a> {
    de: De<'a>,
    step: u8,
}
impl<'de> de::SeqAccess<'de> for FieldParts<'de> {
    type Error = Stop;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        self.step += 1;
        let Place { line, column } = self.de.node.place;
        let packed = u64::from(line) << 32 | u64::from(column);
        let value = match self.step {
            1 => seed.deserialize(U64Deserializer::new(packed)),
            2 => seed.deserialize(self.de),
            _ if self.de.problems.is_secret(self.de.node.place) => {
                seed.deserialize(StringDeserializer::new("(secret)".to_owned()))
            }
            _ => seed.deserialize(StringDeserializer::new(super::problem::presentable(
                &self.de.node.shown(),
            ))),
        };
        value.map(Some)
    }
}

struct List<'a> {
    de: De<'a>,
    rest: std::slice::Iter<'a, Node>,
}
impl<'de> de::SeqAccess<'de> for List<'de> {
    type Error = Stop;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        let Some(node) = self.rest.next() else { return Ok(None) };
        seed.deserialize(De { node, ..self.de }).map(Some)
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Entries<'a> {
    de: De<'a>,
    entries: std::collections::VecDeque<&'a (Key, Node)>,
    value: Option<&'a Node>,
}
impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Stop;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        let Some((key, value)) = self.entries.pop_front() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(KeyDe(key)).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        let node = self.value.take().ok_or(Stop::Told)?;
        seed.deserialize(De { node, ..self.de })
    }
}

/// A key, as a plain name or (in a [`Map`]) as a [`Field`].
struct KeyDe<'a>(&'a Key);
impl<'de> de::Deserializer<'de> for KeyDe<'de> {
    type Error = Stop;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_str(&self.0.text)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let Place { line, column } = self.0.place;
        let packed = u64::from(line) << 32 | u64::from(column);
        let text = &self.0.text;
        let parts = (packed, super::problem::presentable(text), text.clone());
        let parts = de::value::SeqDeserializer::new(KeyParts::of(parts).into_iter());
        visitor.visit_seq(parts)
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

enum KeyParts {
    Place(u64),
    Text(String),
}
impl KeyParts {
    fn of((place, shown, text): (u64, String, String)) -> [Self; 3] {
        [Self::Place(place), Self::Text(text), Self::Text(shown)]
    }
}
impl<'de> IntoDeserializer<'de, Stop> for KeyParts {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}
impl<'de> de::Deserializer<'de> for KeyParts {
    type Error = Stop;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self {
            Self::Place(place) => visitor.visit_u64(place),
            Self::Text(text) => visitor.visit_string(text),
        }
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Variant<'a> {
    de: De<'a>,
    name: &'a str,
    inner: Option<De<'a>>,
}
impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Stop;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Stop> {
        let name = StrDeserializer::<Stop>::new(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}
impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Stop;
    fn unit_variant(self) -> Result<(), Stop> {
        match self.inner {
            None => Ok(()),
            Some(_) => Err(Stop::Untold(format!(
                "'{}' takes no further values; write it alone",
                self.name
            ))),
        }
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        let nothing = Node { place: self.de.node.place, value: Value::Empty };
        match self.inner {
            Some(inner) => seed.deserialize(inner),
            // A static nothing would need no place, but then a fault would have none.
            None => seed.deserialize(Nothing(&nothing, self.de.problems)),
        }
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Stop> {
        Err(Stop::Untold("the wrong kind of value".to_owned()))
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        Err(Stop::Untold("the wrong kind of value".to_owned()))
    }
}

/// The inside of a variant that was written as a bare word.
struct Nothing<'a>(&'a Node, &'a Problems);
impl<'de> de::Deserializer<'de> for Nothing<'_> {
    type Error = Stop;
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        self.1.tell(self.0.place, "", "a value is missing behind this word");
        Err(Stop::Told)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_none()
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
