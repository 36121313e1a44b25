//! Types as canonical text. A component can share a type so often that written out it would fill any memory,
//! so writing stops at a bound, and it is known how deep a text is nested.

use wasmparser::{
    PrimitiveValType,
    component_types::{ComponentDefinedType, ComponentDefinedTypeId, ComponentValType},
    types::TypesRef,
};

use crate::limits::TYPE_NESTING_MAX;

/// Why a type was not written to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwritable {
    /// It contains what can't be passed from one sandbox to another.
    Impassable(Impassable),
    /// The text is longer than it may be.
    TooLong,
    /// It is nested deeper than [`TYPE_NESTING_MAX`].
    TooDeep,
}

/// What can't be passed from one sandbox to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Impassable {
    Resource,
    Stream,
    Future,
    ErrorContext,
    Map,
    FixedLengthList,
}

impl Impassable {
    /// What it is, and why it can't be passed.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Resource => {
                "a handle to a resource, which is of use only in the sandbox that has the resource"
            }
            Self::Stream => "a stream, which would tie two sandboxes together beyond the call",
            Self::Future => "a future, which would tie two sandboxes together beyond the call",
            Self::ErrorContext => {
                "an error-context, which is of use only in the sandbox where the error happened"
            }
            Self::Map => "a map, which this platform does not pass between sandboxes",
            Self::FixedLengthList => {
                "a list of fixed length, which this platform does not pass between sandboxes"
            }
        }
    }

    /// What to write instead.
    pub(super) fn fix(self) -> &'static str {
        match self {
            Self::Resource => {
                "Pass a value instead, such as the id of what the resource stands for."
            }
            Self::Stream | Self::FixedLengthList => "Pass a `list` instead.",
            Self::Future => "Return the value itself.",
            Self::ErrorContext => "Pass a `string` that explains the error instead.",
            Self::Map => "Pass a `list<tuple<…>>` instead.",
        }
    }
}

/// Writes types one after the other into texts that together have at most so many bytes.
pub(super) struct Writer<'a> {
    types: TypesRef<'a>,
    bytes_left: usize,
    nesting: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(types: TypesRef<'a>, bytes_max: usize) -> Self {
        Self {
            types,
            bytes_left: bytes_max,
            nesting: 0,
        }
    }

    pub(super) fn bytes_left(&self) -> usize {
        self.bytes_left
    }

    /// Counts a name that stands beside the types.
    pub(super) fn name(&mut self, name: &str) -> Result<String, Unwritable> {
        let mut out = String::new();
        self.push(&mut out, name)?;
        Ok(out)
    }

    /// The text of a type.
    pub(super) fn ty(&mut self, ty: ComponentValType) -> Result<String, Unwritable> {
        let mut out = String::new();
        self.value(&mut out, ty)?;
        Ok(out)
    }

    fn push(&mut self, out: &mut String, text: &str) -> Result<(), Unwritable> {
        let left = self.bytes_left.checked_sub(text.len());
        self.bytes_left = left.unwrap_or(0);
        left.ok_or(Unwritable::TooLong)?;
        out.push_str(text);
        Ok(())
    }

    fn value(&mut self, out: &mut String, ty: ComponentValType) -> Result<(), Unwritable> {
        match ty {
            ComponentValType::Primitive(primitive) => self.primitive(out, primitive),
            ComponentValType::Type(id) => {
                if self.nesting == TYPE_NESTING_MAX {
                    return Err(Unwritable::TooDeep);
                }
                self.nesting += 1;
                let written = self.defined(out, id);
                self.nesting -= 1;
                written
            }
        }
    }

    fn primitive(&mut self, out: &mut String, ty: PrimitiveValType) -> Result<(), Unwritable> {
        let text = match ty {
            PrimitiveValType::Bool => "bool",
            PrimitiveValType::S8 => "s8",
            PrimitiveValType::U8 => "u8",
            PrimitiveValType::S16 => "s16",
            PrimitiveValType::U16 => "u16",
            PrimitiveValType::S32 => "s32",
            PrimitiveValType::U32 => "u32",
            PrimitiveValType::S64 => "s64",
            PrimitiveValType::U64 => "u64",
            PrimitiveValType::F32 => "f32",
            PrimitiveValType::F64 => "f64",
            PrimitiveValType::Char => "char",
            PrimitiveValType::String => "string",
            PrimitiveValType::ErrorContext => {
                return Err(Unwritable::Impassable(Impassable::ErrorContext));
            }
        };
        self.push(out, text)
    }

    fn defined(&mut self, out: &mut String, id: ComponentDefinedTypeId) -> Result<(), Unwritable> {
        let types = self.types;
        let impassable = match &types[id] {
            ComponentDefinedType::Primitive(primitive) => return self.primitive(out, *primitive),
            ComponentDefinedType::Record(record) => {
                let fields = record.fields.iter();
                return self.block(out, "record", fields, |writer, out, (name, ty)| {
                    writer.push(out, name.as_str())?;
                    writer.push(out, ": ")?;
                    writer.value(out, *ty)
                });
            }
            ComponentDefinedType::Variant(variant) => {
                let cases = variant.cases.iter();
                return self.block(out, "variant", cases, |writer, out, (name, case)| {
                    writer.push(out, name.as_str())?;
                    let Some(ty) = case.ty else {
                        return Ok(());
                    };
                    writer.push(out, "(")?;
                    writer.value(out, ty)?;
                    writer.push(out, ")")
                });
            }
            ComponentDefinedType::Flags(names) => {
                return self.block(out, "flags", names.iter(), |writer, out, name| {
                    writer.push(out, name.as_str())
                });
            }
            ComponentDefinedType::Enum(names) => {
                return self.block(out, "enum", names.iter(), |writer, out, name| {
                    writer.push(out, name.as_str())
                });
            }
            ComponentDefinedType::List { element, .. } => {
                return self.generic(out, "list", &[Some(*element)]);
            }
            ComponentDefinedType::Option { ty, .. } => {
                return self.generic(out, "option", &[Some(*ty)]);
            }
            ComponentDefinedType::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().copied().map(Some).collect();
                return self.generic(out, "tuple", &types);
            }
            ComponentDefinedType::Result { ok, err, .. } => {
                return match (ok, err) {
                    (None, None) => self.push(out, "result"),
                    (ok, None) => self.generic(out, "result", &[*ok]),
                    (ok, err) => self.generic(out, "result", &[*ok, *err]),
                };
            }
            ComponentDefinedType::Own(_) | ComponentDefinedType::Borrow(_) => Impassable::Resource,
            ComponentDefinedType::Stream { .. } => Impassable::Stream,
            ComponentDefinedType::Future { .. } => Impassable::Future,
            ComponentDefinedType::Map { .. } => Impassable::Map,
            ComponentDefinedType::FixedLengthList { .. } => Impassable::FixedLengthList,
        };
        Err(Unwritable::Impassable(impassable))
    }

    /// `record { a: T, b: U }`.
    fn block<T>(
        &mut self,
        out: &mut String,
        head: &str,
        items: impl Iterator<Item = T>,
        item: impl Fn(&mut Self, &mut String, T) -> Result<(), Unwritable>,
    ) -> Result<(), Unwritable> {
        self.push(out, head)?;
        for (index, one) in items.enumerate() {
            self.push(out, if index == 0 { " { " } else { ", " })?;
            item(self, out, one)?;
        }
        self.push(out, " }")
    }

    /// `result<_, string>`.
    fn generic(
        &mut self,
        out: &mut String,
        head: &str,
        args: &[Option<ComponentValType>],
    ) -> Result<(), Unwritable> {
        self.push(out, head)?;
        for (index, arg) in args.iter().enumerate() {
            self.push(out, if index == 0 { "<" } else { ", " })?;
            match arg {
                Some(ty) => self.value(out, *ty)?,
                None => self.push(out, "_")?,
            }
        }
        self.push(out, ">")
    }
}
