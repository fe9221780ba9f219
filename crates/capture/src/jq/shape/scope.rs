//! Names in scope.

use std::rc::Rc;

use jaq_core::load::parse::{Def, Term};

use super::value::Shape;

pub(super) type T<'s> = Term<&'s str>;

/// Names in scope, the newest first.
pub(super) type Env<'t, 's> = Option<Rc<Scope<'t, 's>>>;

pub(super) struct Scope<'t, 's> {
    pub(super) name: &'s str,
    pub(super) means: Means<'t, 's>,
    pub(super) outer: Env<'t, 's>,
}

pub(super) enum Means<'t, 's> {
    Variable(Shape),
    Definition(&'t Def<&'s str>),
    /// An argument, with the scope of the call.
    Argument(&'t T<'s>, Env<'t, 's>),
}

pub(super) fn bound<'t, 's>(env: &Env<'t, 's>, name: &'s str, means: Means<'t, 's>) -> Env<'t, 's> {
    Some(Rc::new(Scope { name, means, outer: env.clone() }))
}

pub(super) fn extended<'t, 's>(env: &Env<'t, 's>, definitions: &'t [Def<&'s str>]) -> Env<'t, 's> {
    definitions.iter().fold(env.clone(), |env, definition| {
        bound(&env, definition.name, Means::Definition(definition))
    })
}

pub(super) fn variable(env: &Env<'_, '_>, name: &str) -> Shape {
    let mut scope = env.as_ref();
    while let Some(found) = scope {
        if let (true, Means::Variable(shape)) = (found.name == name, &found.means) {
            return shape.clone();
        }
        scope = found.outer.as_ref();
    }
    Shape::unknown()
}
