//! What was decided in an invocation about the use of tables that the app declares. An invocation in which nobody decides
//! has no gate, and its statements pass without a look at them.

use std::{collections::HashMap, sync::Arc};

use cloudware_capability::{DataAccess, Invocation};
use cloudware_instance_db::{ACCESS_REFUSED, AccessRules, Request, RowSet};
use cloudware_types::{Condition, FilteredAccess, TableAccess};

use crate::{
    SqlError,
    limits::EXAMINED_STATEMENTS_MAX,
    session::{Failure, Rows, session, settle_within, time_left},
};

/// The gate of an invocation.
#[derive(Default)]
pub(crate) enum Gate {
    /// Nothing has asked yet whether somebody decides.
    #[default]
    Unknown,
    /// Nobody decides.
    Open,
    /// Somebody does.
    Guarded(Guarded),
}

/// What was decided so far.
pub(crate) struct Guarded {
    decider: Arc<dyn DataAccess>,
    decisions: HashMap<TableAccess, Result<Vec<Condition>, String>>,
    /// What statements do with the tables, by their text.
    examined: HashMap<Arc<str>, Arc<[TableAccess]>>,
}

/// Whoever decides in this invocation, if somebody does.
fn decider(invocation: &mut Invocation) -> Result<Option<Arc<dyn DataAccess>>, Failure> {
    match &session(invocation)?.gate {
        Gate::Open => return Ok(None),
        Gate::Guarded(guarded) => return Ok(Some(Arc::clone(&guarded.decider))),
        Gate::Unknown => {}
    }
    let decider = invocation.access().map_err(Failure::Trap)?;
    session(invocation)?.gate = match &decider {
        None => Gate::Open,
        Some(decider) => Gate::Guarded(Guarded {
            decider: Arc::clone(decider),
            decisions: HashMap::new(),
            examined: HashMap::new(),
        }),
    };
    Ok(decider)
}

impl Gate {
    fn guarded(&mut self) -> Option<&mut Guarded> {
        match self {
            Self::Guarded(guarded) => Some(guarded),
            Self::Unknown | Self::Open => None,
        }
    }
}

/// Lets a statement pass: finds out what it does with the tables, has that decided, and gives the request its rules.
pub(crate) async fn pass(
    invocation: &mut Invocation,
    request: &mut Request,
    within: Option<u64>,
) -> Result<(), Failure> {
    let Some(decider) = decider(invocation)? else {
        return Ok(());
    };
    let tables = decider.tables();
    let touched = examine(invocation, (&request.statement, &tables), within).await?;
    if touched.is_empty() {
        return Ok(());
    }
    let mut accesses = Vec::with_capacity(touched.len());
    for access in touched.iter() {
        let conditions = decide(invocation, &*decider, access).await?;
        accesses.push(FilteredAccess {
            access: access.clone(),
            conditions,
        });
    }
    request.access = Some(Arc::new(AccessRules { tables, accesses }));
    request.time_max = time_left(invocation);
    Ok(())
}

/// Masks what a statement gave, where somebody masks.
pub(crate) async fn mask(
    invocation: &mut Invocation,
    rules: Option<&AccessRules>,
    mut set: RowSet,
) -> Result<RowSet, Failure> {
    let Some(rules) = rules.filter(|_| !set.rows.is_empty()) else {
        return Ok(set);
    };
    let Some(decider) = decider(invocation)?.filter(|decider| decider.masks()) else {
        return Ok(set);
    };
    set.rows = decider.after(&set.origins, set.rows, &rules.accesses).await;
    Ok(set)
}

async fn examine(
    invocation: &mut Invocation,
    (text, tables): (&Arc<str>, &Arc<[Arc<str>]>),
    within: Option<u64>,
) -> Result<Arc<[TableAccess]>, Failure> {
    let time_max = time_left(invocation);
    let state = session(invocation)?;
    let known = state
        .gate
        .guarded()
        .and_then(|guarded| guarded.examined.get(text));
    if let Some(known) = known {
        return Ok(Arc::clone(known));
    }
    let asked = (Arc::clone(text), Arc::clone(tables));
    let worked = match within {
        None => state.store.examine(&state.scope, asked, time_max).await,
        Some(number) => state.transaction(number)?.examine(asked, time_max).await,
    };
    let touched: Arc<[TableAccess]> =
        settle_within(invocation, worked, |_| Rows::default())?.into();
    if let Some(guarded) = session(invocation)?.gate.guarded()
        && guarded.examined.len() < EXAMINED_STATEMENTS_MAX
    {
        guarded
            .examined
            .insert(Arc::clone(text), Arc::clone(&touched));
    }
    Ok(touched)
}

async fn decide(
    invocation: &mut Invocation,
    decider: &dyn DataAccess,
    access: &TableAccess,
) -> Result<Vec<Condition>, Failure> {
    let known = session(invocation)?
        .gate
        .guarded()
        .and_then(|guarded| guarded.decisions.get(access).cloned());
    let decision = match known {
        Some(decision) => decision,
        None => {
            let decision = decider.before(access).await;
            if let Some(guarded) = session(invocation)?.gate.guarded() {
                guarded.decisions.insert(access.clone(), decision.clone());
            }
            decision
        }
    };
    decision.map_err(|reason| SqlError::Denied(format!("{ACCESS_REFUSED}: {reason}")).into())
}
