//! Which shaders index buffers by data: derived from naga's view of their data flow.
//!
//! What is loaded from a storage buffer or from the step's uniform is data; so is what is computed of it, what a loop leaves in a
//! variable where data decide when it ends, and what a function gives back of it. A shader indexes by data where such a value is part
//! of the index of a storage buffer. `x & c`, `x % c` with constants are not data: their range is known.

use naga::{AddressSpace, BinaryOperator, Block, Expression, Function, GlobalVariable, Handle, Module, Statement};
use std::collections::HashSet;

/// Variables and functions of a module that hold data.
#[derive(Default, PartialEq, Clone)]
struct Data {
    globals: HashSet<Handle<GlobalVariable>>,
    /// Number of the function (the entry point is past the last) and of the variable.
    locals: HashSet<(usize, usize)>,
    arguments: HashSet<(usize, u32)>,
    results: HashSet<usize>,
}

struct Flow<'m> {
    module: &'m Module,
    data: Data,
    found: bool,
}

impl Flow<'_> {
    /// The expressions of a function that are data, in their order: each is computed of earlier ones.
    fn expressions(&self, number: usize, function: &Function) -> HashSet<Handle<Expression>> {
        let mut data: HashSet<Handle<Expression>> = HashSet::new();
        for (handle, expression) in function.expressions.iter() {
            let is = |h: &Handle<Expression>| data.contains(h);
            let literal = |h: &Handle<Expression>| {
                matches!(function.expressions[*h], Expression::Literal(_) | Expression::Constant(_))
            };
            let tainted = match expression {
                Expression::Load { pointer } => self.held(number, function, *pointer),
                Expression::FunctionArgument(i) => self.data.arguments.contains(&(number, *i)),
                Expression::CallResult(f) => self.data.results.contains(&f.index()),
                Expression::Binary { op: BinaryOperator::And | BinaryOperator::Modulo, right, .. }
                    if literal(right) =>
                {
                    false
                }
                Expression::Binary { left, right, .. } => is(left) || is(right),
                Expression::Unary { expr, .. } | Expression::As { expr, .. } => is(expr),
                Expression::Select { condition, accept, reject } => is(condition) || is(accept) || is(reject),
                Expression::Math { arg, arg1, arg2, arg3, .. } => {
                    is(arg) || [arg1, arg2, arg3].into_iter().flatten().any(is)
                }
                Expression::Compose { components, .. } => components.iter().any(is),
                Expression::Splat { value, .. } => is(value),
                Expression::Swizzle { vector, .. } => is(vector),
                Expression::Access { base, index } => is(base) || is(index),
                Expression::AccessIndex { base, .. } => is(base),
                Expression::Relational { argument, .. } => is(argument),
                Expression::AtomicResult { .. }
                | Expression::WorkGroupUniformLoadResult { .. }
                | Expression::SubgroupBallotResult
                | Expression::SubgroupOperationResult { .. } => true,
                _ => false,
            };
            if tainted {
                data.insert(handle);
            }
        }
        data
    }

    /// The variable that a pointer points into.
    fn root(function: &Function, mut pointer: Handle<Expression>) -> &Expression {
        loop {
            match &function.expressions[pointer] {
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = *base,
                other => return other,
            }
        }
    }

    /// Does what a pointer points at hold data?
    fn held(&self, number: usize, function: &Function, pointer: Handle<Expression>) -> bool {
        match Self::root(function, pointer) {
            Expression::GlobalVariable(global) => {
                let variable = &self.module.global_variables[*global];
                match variable.space {
                    AddressSpace::Storage { .. } => true,
                    AddressSpace::Uniform => variable.binding.as_ref().is_some_and(|b| b.binding == 1),
                    _ => self.data.globals.contains(global),
                }
            }
            Expression::LocalVariable(local) => self.data.locals.contains(&(number, local.index())),
            Expression::FunctionArgument(i) => self.data.arguments.contains(&(number, *i)),
            _ => false,
        }
    }

    fn mark(&mut self, number: usize, function: &Function, pointer: Handle<Expression>) {
        match Self::root(function, pointer) {
            Expression::GlobalVariable(global) => {
                self.data.globals.insert(*global);
            }
            Expression::LocalVariable(local) => {
                self.data.locals.insert((number, local.index()));
            }
            _ => {}
        }
    }

    /// One pass over a block; `ends` is true in a loop whose end data decide.
    fn block(
        &mut self,
        number: usize,
        function: &Function,
        block: &Block,
        data: &HashSet<Handle<Expression>>,
        ends: bool,
    ) {
        for statement in block {
            match statement {
                Statement::Store { pointer, value } if ends || data.contains(value) => {
                    self.mark(number, function, *pointer);
                }
                Statement::Atomic { pointer, value, .. } if data.contains(value) => {
                    self.mark(number, function, *pointer)
                }
                Statement::Block(inner) => self.block(number, function, inner, data, ends),
                Statement::If { accept, reject, .. } => {
                    self.block(number, function, accept, data, ends);
                    self.block(number, function, reject, data, ends);
                }
                Statement::Switch { cases, .. } => {
                    cases.iter().for_each(|case| self.block(number, function, &case.body, data, ends));
                }
                Statement::Loop { body, continuing, break_if } => {
                    let ends = ends
                        || break_if.is_some_and(|b| data.contains(&b))
                        || leaves(body, data, false)
                        || leaves(continuing, data, false);
                    self.block(number, function, body, data, ends);
                    self.block(number, function, continuing, data, ends);
                }
                Statement::Call { function: called, arguments, .. } => {
                    for (i, argument) in (0..).zip(arguments) {
                        if data.contains(argument) {
                            self.data.arguments.insert((called.index(), i));
                        }
                    }
                }
                Statement::Return { value: Some(value) } if data.contains(value) => {
                    self.data.results.insert(number);
                }
                _ => {}
            }
        }
    }

    fn function(&mut self, number: usize, function: &Function) {
        let data = self.expressions(number, function);
        self.block(number, function, &function.body, &data, false);
        for (_, expression) in function.expressions.iter() {
            if let Expression::Access { base, index } = expression
                && data.contains(index)
                && let Expression::GlobalVariable(global) = Self::root(function, *base)
                && matches!(self.module.global_variables[*global].space, AddressSpace::Storage { .. })
            {
                self.found = true;
            }
        }
    }
}

/// Does a block leave its loop where a condition is data?
fn leaves(block: &Block, data: &HashSet<Handle<Expression>>, decided: bool) -> bool {
    block.iter().any(|statement| match statement {
        Statement::Break | Statement::Return { .. } => decided,
        Statement::Block(inner) => leaves(inner, data, decided),
        Statement::If { condition, accept, reject } => {
            let decided = decided || data.contains(condition);
            leaves(accept, data, decided) || leaves(reject, data, decided)
        }
        _ => false,
    })
}

/// Does a module index a storage buffer by data?
pub(crate) fn indexes_by_data(module: &Module) -> bool {
    let mut flow = Flow { module, data: Data::default(), found: false };
    loop {
        let before = flow.data.clone();
        for (handle, function) in module.functions.iter() {
            flow.function(handle.index(), function);
        }
        flow.function(module.functions.len(), &module.entry_points[0].function);
        if flow.data == before {
            return flow.found;
        }
    }
}
