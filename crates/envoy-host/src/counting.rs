//! The callbacks by which a module counts.

use std::sync::Arc;

use crate::abi::{Buffer, Handle, texts};
use crate::callbacks::{found, in_force};
use crate::config::ConfigPeer;
use crate::registry::violation;
use crate::statistics::{Change, Kind, Outcome};

/// # Safety
/// The module's, for this call: a name, so many labels, and room for an id.
unsafe fn define(
    config: Handle,
    kind: Kind,
    name: Buffer,
    labels: *const Buffer,
    count: usize,
    id: *mut usize,
) -> u32 {
    let Some(config) = in_force(config, "define a statistic") else {
        return Outcome::NotFound as u32;
    };
    // SAFETY: as the caller says.
    let (name, labels) = unsafe { (name.text(), texts(labels, count)) };
    let defined = config.statistics().define(kind, name, labels);
    match defined {
        Ok(new) => {
            // SAFETY: as the caller says.
            unsafe { id.write(new) };
            Outcome::Success as u32
        }
        Err(result) => result as u32,
    }
}

fn change(
    config: Option<Arc<ConfigPeer>>,
    kind: Kind,
    id: usize,
    values: &[String],
    by: Change,
) -> u32 {
    let Some(config) = config else { return Outcome::NotFound as u32 };
    let result = config.statistics().change(kind, id, values, by);
    if result != Outcome::Success {
        violation::<()>(format!("{kind:?} {id} {values:?}: {result:?}"));
    }
    result as u32
}

macro_rules! statistics {
    ($($define:ident, $kind:expr;)*) => {
        $(#[unsafe(no_mangle)]
        unsafe extern "C" fn $define(
            config: Handle,
            name: Buffer,
            labels: *const Buffer,
            count: usize,
            id: *mut usize,
        ) -> u32 {
            // SAFETY: the module's, for this call.
            unsafe { define(config, $kind, name, labels, count, id) }
        })*
    };
}

statistics! {
    envoy_dynamic_module_callback_http_filter_config_define_counter, Kind::Counter;
    envoy_dynamic_module_callback_http_filter_config_define_gauge, Kind::Gauge;
    envoy_dynamic_module_callback_http_filter_config_define_histogram, Kind::Histogram;
}

macro_rules! changes {
    ($($of_config:ident, $of_filter:ident, $kind:expr, $change:expr;)*) => {
        $(#[unsafe(no_mangle)]
        unsafe extern "C" fn $of_config(
            config: Handle,
            id: usize,
            values: *const Buffer,
            count: usize,
            value: u64,
        ) -> u32 {
            // SAFETY: the module's, for this call.
            let values = unsafe { texts(values, count) };
            change(in_force(config, stringify!($of_config)), $kind, id, &values, $change(value))
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $of_filter(
            stream: Handle,
            id: usize,
            values: *const Buffer,
            count: usize,
            value: u64,
        ) -> u32 {
            // SAFETY: the module's, for this call.
            let values = unsafe { texts(values, count) };
            let config = found(stream, stringify!($of_filter)).and_then(|found| found.config());
            change(config, $kind, id, &values, $change(value))
        })*
    };
}

changes! {
    envoy_dynamic_module_callback_http_filter_config_increment_counter,
    envoy_dynamic_module_callback_http_filter_increment_counter,
    Kind::Counter, Change::Add;
    envoy_dynamic_module_callback_http_filter_config_increment_gauge,
    envoy_dynamic_module_callback_http_filter_increment_gauge,
    Kind::Gauge, Change::Add;
    envoy_dynamic_module_callback_http_filter_config_decrement_gauge,
    envoy_dynamic_module_callback_http_filter_decrement_gauge,
    Kind::Gauge, Change::Subtract;
    envoy_dynamic_module_callback_http_filter_config_set_gauge,
    envoy_dynamic_module_callback_http_filter_set_gauge,
    Kind::Gauge, Change::Set;
    envoy_dynamic_module_callback_http_filter_config_record_histogram_value,
    envoy_dynamic_module_callback_http_filter_record_histogram_value,
    Kind::Histogram, |_| Change::Record;
}
