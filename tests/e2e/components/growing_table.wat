;; Answers HTTP by growing a table by 50,000 elements and returning without a response.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
  (core module $module
    (memory 1)
    (table $table 0 funcref)
    (func (export "handle") (param i32 i32)
      (drop (table.grow $table (ref.null func) (i32.const 50000)))))
  (core instance $only (instantiate $module))
  (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $only "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
