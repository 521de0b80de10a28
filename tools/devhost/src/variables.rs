//! Variables of the application and its components, and `fermyon:spin/variables`.
//!
//! They are resolved once, at the start: the environment and the options do not change. Spin looks
//! them up in the environment each time, and hands its worker thread's other tasks to another thread
//! meanwhile, which is imitated. An unset required variable and an unknown variable in a template
//! are errors at the start, as in Spin.

use crate::bindings::fermyon::spin::variables::{Error, Host};
use crate::manifest::Variable;
use crate::state::State;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

pub(crate) type Values = BTreeMap<String, String>;

/// Resolves the application's variables from `given`, else `SPIN_VARIABLE_NAME` in the environment,
/// else the default.
pub(crate) fn resolve_application(
    declared: &BTreeMap<String, Variable>,
    given: &Values,
) -> Result<Values> {
    for name in given.keys() {
        if !declared.contains_key(name) {
            bail!("the manifest has no variable {name:?}");
        }
    }
    let mut values = Values::new();
    let mut missing = Vec::new();
    for (name, variable) in declared {
        check_name(name).map_err(|reason| anyhow::anyhow!("variable {reason}"))?;
        let environment = std::env::var(format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase()));
        let value = given.get(name).cloned().or(environment.ok());
        match value.or_else(|| variable.default.clone()) {
            Some(value) => {
                values.insert(name.clone(), value);
            }
            None => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        bail!("required variable(s) without a value (set SPIN_VARIABLE_NAME): {missing:?}");
    }
    Ok(values)
}

pub(crate) fn resolve_component(templates: &Values, application: &Values) -> Result<Values> {
    let mut values = Values::new();
    for (name, template) in templates {
        check_name(name).map_err(|reason| anyhow::anyhow!("variable {reason}"))?;
        let value = expand(template, application).with_context(|| format!("variable {name:?}"))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// Replaces each `{{ name }}` in `template`.
pub(crate) fn expand(template: &str, application: &Values) -> Result<String> {
    let mut result = String::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once("{{") {
        let (name, after) = after
            .split_once("}}")
            .with_context(|| format!("unmatched '{{{{' in template {template:?}"))?;
        let value = application
            .get(name.trim())
            .with_context(|| format!("unknown variable {:?}", name.trim()))?;
        result.push_str(literal);
        result.push_str(value);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// Checks a name by Spin's rule: lower-case letters, digits and single underscores, a letter first,
/// no underscore last. Returns Spin's message otherwise.
fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
    let reason = if name.is_empty() {
        "must not be empty".to_owned()
    } else if let Some(invalid) = name.chars().find(|c| !allowed(c)) {
        format!(
            "invalid character {invalid:?}. Variable names may contain only lower-case letters, \
             numbers, and underscores."
        )
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "must start with a lowercase ASCII letter".to_owned()
    } else if name.ends_with('_') {
        "must end with a lowercase ASCII letter or digit".to_owned()
    } else if name.contains("__") {
        "must not contain multiple consecutive underscores".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("{name:?}: {reason}"))
}

impl Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<String, Error>> {
        if let Err(reason) = check_name(&name) {
            return Ok(Err(Error::InvalidName(reason)));
        }
        let component = &self.component;
        let look_up = || component.variables.get(&name).cloned();
        let value = match Handle::current().runtime_flavor() {
            // As Spin, whose component then runs beside the task that sends the response.
            RuntimeFlavor::MultiThread => block_in_place(look_up),
            _ => look_up(),
        };
        Ok(value.ok_or_else(|| {
            Error::Undefined(format!("no variable for {:?}.{name:?}", component.id))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        let own = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn templates_are_expanded() {
        let application = values(&[("host", "db"), ("port", "5432")]);
        let expanded = expand("postgres://{{host}}:{{ port }}/x", &application).unwrap();
        assert_eq!(expanded, "postgres://db:5432/x");
        assert_eq!(expand("plain", &application).unwrap(), "plain");
    }

    #[test]
    fn a_wrong_template_says_what_is_wrong() {
        let error = expand("{{ other }}", &Values::new()).unwrap_err();
        assert!(error.to_string().contains("unknown variable \"other\""));
        let error = expand("{{ other", &Values::new()).unwrap_err();
        assert!(error.to_string().contains("unmatched"));
    }

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "a1", "a_b", "a_1_b"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "1a", "_a", "a_", "a__b", "a-b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
