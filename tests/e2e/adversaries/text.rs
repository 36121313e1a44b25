//! Components in text form around a few lines of core Wasm.

/// The parts of a component that answers HTTP, in text form.
#[derive(Clone, Copy, Default)]
pub(crate) struct Handler<'a> {
    /// Component-level imports and definitions before the module.
    pub(crate) before: &'a str,
    /// Fields of the core module that has the function `handle`.
    pub(crate) module: &'a str,
    /// Arguments of the module's instantiation.
    pub(crate) with: &'a str,
    /// Options of the lifted function.
    pub(crate) lift: &'a str,
}

/// A handler that does nothing and sets no response.
pub(crate) const IDLE: &str = "(func (export \"handle\") (param i32 i32))";

impl Handler<'_> {
    /// The text of the component. The resource types of the request and of the response's place are
    /// `$request` and `$outparam`.
    pub(crate) fn text(self) -> String {
        let Self {
            before,
            module,
            with,
            lift,
        } = self;
        format!(
            r#"(component
              (import "wasi:http/types@0.2.0" (instance $types
                (export "incoming-request" (type (sub resource)))
                (export "response-outparam" (type (sub resource)))))
              (alias export $types "incoming-request" (type $request))
              (alias export $types "response-outparam" (type $outparam))
              {before}
              (core module $module {module})
              (core instance $only (instantiate $module {with}))
              (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
                (canon lift (core func $only "handle") {lift}))
              (instance $handler (export "handle" (func $handle)))
              (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
        )
    }

    /// The component.
    pub(crate) fn component(self) -> Vec<u8> {
        cloudware_tests::component(&self.text())
    }
}
