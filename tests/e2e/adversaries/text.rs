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

/// The text of a component of two that hands the same long text from one to the other for ever, the one encoding it in
/// `from` and the other in `to`: the engine copies it, which burns no fuel.
pub(crate) fn copying(from: &str, to: &str) -> String {
    let types = r#"(instance $types
        (export "incoming-request" (type (sub resource)))
        (export "response-outparam" (type (sub resource))))"#;
    format!(
        r#"(component
          (import "wasi:http/types@0.2.0" {types})
          (component $taker
            (core module $take (memory (export "memory") 300)
              (func (export "allocate") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
              (func (export "take") (param i32 i32)))
            (core instance $only (instantiate $take))
            (func (export "take") (param "text" string)
              (canon lift (core func $only "take") string-encoding={to}
                (memory (core memory $only "memory")) (realloc (core func $only "allocate")))))
          (component $giver
            (import "types" {types})
            (import "take" (func $take (param "text" string)))
            (alias export $types "incoming-request" (type $request))
            (alias export $types "response-outparam" (type $outparam))
            (core module $text (memory (export "memory") 200))
            (core instance $text (instantiate $text))
            (core func $take (canon lower (func $take) string-encoding={from}
              (memory (core memory $text "memory"))))
            (core instance $taker (export "take" (func $take)))
            (core module $give
              (import "taker" "take" (func $take (param i32 i32)))
              (func (export "handle") (param i32 i32)
                (loop (call $take (i32.const 0) (i32.const 8000000)) (br 0))))
            (core instance $only (instantiate $give (with "taker" (instance $taker))))
            (func (export "handle") (param "request" (own $request)) (param "response-out" (own $outparam))
              (canon lift (core func $only "handle"))))
          (instance $taker (instantiate $taker))
          (instance $giver (instantiate $giver
            (with "types" (instance $types)) (with "take" (func $taker "take"))))
          (instance $handler (export "handle" (func $giver "handle")))
          (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
    )
}

/// The text of a guest that asks the host for 16 random bytes and does this when the host asks for memory to put
/// them into. `$again` is the same host function, to be called from within.
pub(crate) fn asking(body: &str) -> String {
    let before = format!(
        r#"(import "wasi:random/random@0.2.0" (instance $random
             (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
           (core module $late (table (export "late") 1 funcref)
             (type $get (func (param i64 i32)))
             (func (export "get") (param i64 i32)
               (call_indirect (type $get) (local.get 0) (local.get 1) (i32.const 0))))
           (core instance $later (instantiate $late))
           (core module $allocator
             (import "late" "get" (func $again (param i64 i32)))
             (memory (export "memory") 1)
             (func $allocate (export "allocate") (param i32 i32 i32 i32) (result i32) {body}))
           (core instance $memory (instantiate $allocator (with "late" (instance $later))))
           (core func $get (canon lower (func $random "get-random-bytes")
             (memory (core memory $memory "memory")) (realloc (core func $memory "allocate"))))
           (core module $fill
             (import "late" "late" (table 1 funcref)) (import "host" "get" (func $get (param i64 i32)))
             (elem (i32.const 0) func $get))
           (core instance $host (export "get" (func $get)))
           (core instance (instantiate $fill (with "late" (instance $later)) (with "host" (instance $host))))"#
    );
    let handler = Handler {
        before: &before,
        module: r#"(import "host" "get" (func $get (param i64 i32)))
            (func (export "handle") (param i32 i32) (call $get (i64.const 16) (i32.const 0)))"#,
        with: "(with \"host\" (instance $host))",
        ..Handler::default()
    };
    handler.text()
}

/// Modules that wasm-smith 0.254 made from the seeds in their names: valid, without imports, with a start.
pub(crate) const RANDOM_MODULES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/e2e/components/random"
);

/// A component with one more core module, which is instantiated before anything is called.
pub(crate) fn with_module(component: &[u8], module: &[u8]) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCE: u8 = 2;
    let mut bytes = component.to_vec();
    bytes.push(CORE_MODULE);
    let mut left = module.len();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes.extend_from_slice(module);
    // One instance: instantiate module 1, which follows the component's own, with nothing.
    bytes.extend_from_slice(&[CORE_INSTANCE, 4, 1, 0, 1, 0]);
    bytes
}
