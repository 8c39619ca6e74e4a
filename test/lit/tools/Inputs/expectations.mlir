func.func @wrong() -> f32 {
 // expected-error@+1 {{'func.return' op has 9 operands}}
  return
}

// -----

func.func @none() {
  // expected-error@below {{never}}
  return
}

// -----

func.func @malformed() {
  // expected-error@+1 text without braces
  // expected-eror@+1 {{misspelt}}
  // expected-error-re@+1 {{a {{(}} b}}
  return
}

// -----

func.func @count() -> f32 {
  // expected-error@+1 2 {{op has}}
  return
}
