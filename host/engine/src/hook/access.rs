//! Hooks on the data of an app: the extension points `before-access` and `after-access`, which every app has that declares
//! tables, and which the platform asks in place of the app. A capability that reaches the data says what is done with
//! it; the hooks are asked as on any other point, and what they say is held to what they may.

mod types;
mod values;

use std::sync::Arc;

use async_trait::async_trait;
use cloudware_capability::{DataAccess, FindAccess, Invocation, Progress};
use cloudware_types::{
    AFTER_ACCESS, BEFORE_ACCESS, Class, Condition, DesiredInstall, DesiredPoint, Dimension,
    FilteredAccess, ResultColumn, RunChain, SqlValue, TableAccess,
};
use wasmtime::component::{Val, types::ComponentFunc};

pub(crate) use self::types::AccessTypes;
use super::{
    BoundPoint, CallContext,
    answer::Answered,
    dispatch::{Ask, Rule},
    link::Import,
};
use crate::limits::{ACCESS_MESSAGE_CHARS_MAX, ACCESS_PART_CELLS_MAX, ACCESS_PART_WEIGHT_MAX};

/// The function of both interfaces.
const FUNCTION: &str = "transform";

/// The tables of an install that are decided about, and where it is asked. There is one only where somebody answers.
pub(crate) struct AccessPoints {
    tables: Arc<[Arc<str>]>,
    before: Option<Arc<BoundPoint>>,
    after: Option<Arc<BoundPoint>>,
    types: Arc<AccessTypes>,
}

impl AccessPoints {
    /// Those of an install with these tables and points. `types` is asked only where there are some.
    pub(crate) fn of(
        tables: &Arc<[Arc<str>]>,
        points: &[Arc<BoundPoint>],
        types: impl FnOnce() -> Arc<AccessTypes>,
    ) -> Option<Arc<Self>> {
        let hooked = |name: &str| {
            let mut points = points.iter();
            let point = points.find(|point| point.name.as_str() == name)?;
            (!point.hooks.is_empty()).then(|| Arc::clone(point))
        };
        if tables.is_empty() {
            return None;
        }
        let (before, after) = (hooked(BEFORE_ACCESS), hooked(AFTER_ACCESS));
        if before.is_none() && after.is_none() {
            return None;
        }
        Some(Arc::new(Self {
            tables: Arc::clone(tables),
            before,
            after,
            types: types(),
        }))
    }
}

/// How whoever decides about the data of an install is found in its runs.
pub(crate) fn find(install: &DesiredInstall) -> FindAccess {
    let is_decided = |point: &DesiredPoint| {
        [BEFORE_ACCESS, AFTER_ACCESS].contains(&point.name.as_str()) && !point.hooks.is_empty()
    };
    if install.access_tables.is_empty() || !install.points.iter().any(is_decided) {
        return |_| Ok(None);
    }
    |invocation| decider(invocation).map(Some)
}

/// Whoever decides about the data of the app that an invocation runs. A run that does not know its hooks has no data.
fn decider(invocation: &Invocation) -> wasmtime::Result<Arc<dyn DataAccess>> {
    let context = invocation.context::<CallContext>();
    let install = invocation.identity().install;
    let points = context
        .as_ref()
        .and_then(|context| context.peers.access(install));
    let (Some(points), Some(context)) = (points.map(Arc::clone), context.clone()) else {
        wasmtime::bail!("who decides about the data of this app is not known in this run");
    };
    Ok(Arc::new(Decider {
        points,
        caller: Arc::clone(invocation.progress()),
        chain: invocation.chain(),
        class: invocation.class(),
        depth_max: invocation.limit(Dimension::Recursion),
        context,
    }))
}

/// The hooks on the data of an app in one run of it.
struct Decider {
    points: Arc<AccessPoints>,
    caller: Arc<Progress>,
    chain: RunChain,
    class: Class,
    depth_max: u64,
    context: Arc<CallContext>,
}

impl Decider {
    async fn ask(
        &self,
        (point, ty): (&Arc<BoundPoint>, &ComponentFunc),
        arguments: &[Val],
        rule: &Rule,
    ) -> Answered {
        let import = Import {
            interface: point.interface().into(),
            function: FUNCTION.into(),
        };
        let ask = Ask {
            caller: Arc::clone(&self.caller),
            chain: self.chain.clone(),
            class: self.class,
            depth_max: self.depth_max,
            context: Arc::clone(&self.context),
            import: &import,
            ty,
            rule: Some(rule),
        };
        ask.point(point, arguments).await
    }

    fn app(&self) -> &str {
        self.context.install.identity.app.as_str()
    }

    /// A part of a result after the hooks; `None` where they give none.
    async fn part(
        &self,
        point: &Arc<BoundPoint>,
        (columns, accesses): (&Val, &Val),
        rows: &[Vec<SqlValue>],
    ) -> Option<Vec<Vec<SqlValue>>> {
        let arguments = [values::rows(columns, rows), accesses.clone()];
        let ty = (point, &self.points.types.after);
        let answered = self.ask(ty, &arguments, &values::check_after).await;
        match answered.value {
            Val::Result(Ok(Some(value))) => values::rows_of(&value),
            _ => None,
        }
    }
}

#[async_trait]
impl DataAccess for Decider {
    fn tables(&self) -> Arc<[Arc<str>]> {
        Arc::clone(&self.points.tables)
    }

    fn masks(&self) -> bool {
        self.points.after.is_some()
    }

    async fn before(&self, access: &TableAccess) -> Result<Vec<Condition>, String> {
        let Some(point) = &self.points.before else {
            return Ok(Vec::new());
        };
        let arguments = [values::access(self.app(), access, &[])];
        let ty = (point, &self.points.types.before);
        let answered = self.ask(ty, &arguments, &values::check_before).await;
        match answered.value {
            Val::Result(Ok(Some(value))) => {
                values::filter_of(&value).ok_or_else(|| format!("{} gave no filter", point.path()))
            }
            Val::Result(Err(Some(message))) => {
                Err(message_of(point, &answered.refused_by, *message))
            }
            _ => Err(format!("{} gave no answer", point.path())),
        }
    }

    async fn after(
        &self,
        columns: &[ResultColumn],
        rows: Vec<Vec<SqlValue>>,
        accesses: &[FilteredAccess],
    ) -> Vec<Vec<SqlValue>> {
        let Some(point) = &self.points.after else {
            return rows;
        };
        let columns = values::columns(columns);
        let told = accesses
            .iter()
            .map(|one| values::access(self.app(), &one.access, &one.conditions));
        let told = Val::List(told.collect());
        let mut shown = Vec::with_capacity(rows.len());
        let mut left = &rows[..];
        while !left.is_empty() {
            let (part, rest) = left.split_at(part_rows(left));
            match self.part(point, (&columns, &told), part).await {
                Some(masked) => shown.extend(masked),
                None => {
                    return rows
                        .iter()
                        .map(|row| vec![SqlValue::Null; row.len()])
                        .collect();
                }
            }
            left = rest;
        }
        shown
    }
}

/// What the app is told of a refusal, with the name of who refused.
fn message_of(point: &BoundPoint, hook: &Option<Arc<str>>, message: Val) -> String {
    let Val::String(message) = message else {
        return format!("{} refused", point.path());
    };
    let message: String = message.chars().take(ACCESS_MESSAGE_CHARS_MAX).collect();
    match hook {
        Some(hook) => format!("{hook} on {}: {message}", point.path()),
        // It failed, and the message says which.
        None => message,
    }
}

/// Rows of the next part of a result: as many as are within the bounds of a part, at least one.
fn part_rows(rows: &[Vec<SqlValue>]) -> usize {
    let (mut cells, mut weight) = (0, 0);
    let fits = |row: &&Vec<SqlValue>| {
        cells += row.len();
        weight += row.iter().map(values::weight).sum::<usize>();
        cells <= ACCESS_PART_CELLS_MAX && weight <= ACCESS_PART_WEIGHT_MAX
    };
    rows.iter().take_while(fits).count().max(1)
}
