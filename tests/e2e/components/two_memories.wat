;; Answers HTTP by growing two memories, each by ten pages, and returning without a response.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
  (core module $first
    (memory 1)
    (func (export "grow") (drop (memory.grow (i32.const 10)))))
  (core module $second
    (import "first" "grow" (func $grow_first))
    (memory 1)
    (func (export "handle") (param i32 i32)
      (call $grow_first)
      (drop (memory.grow (i32.const 10)))))
  (core instance $one (instantiate $first))
  (core instance $two (instantiate $second (with "first" (instance $one))))
  (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $two "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
