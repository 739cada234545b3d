//! The rules that every contract keeps.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(riwaq_api::FILE_DESCRIPTOR_SET).unwrap();
    let ours: Vec<_> = set
        .file
        .into_iter()
        .filter(|file| file.name().starts_with("riwaq/"))
        .collect();
    assert!(ours.len() >= 6, "every contract is compiled");
    ours
}

fn is_snake(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
}

#[test]
fn package_and_folder_agree_and_carry_a_version() {
    for file in files() {
        let (folder, name) = file.name().rsplit_once('/').unwrap();
        assert_eq!(file.package().replace('.', "/"), folder, "{}", file.name());
        assert!(file.package().ends_with(".v1"), "{}", file.name());
        assert!(is_snake(name.trim_end_matches(".proto")), "{}", file.name());
        assert_eq!(file.syntax(), "proto3", "{}", file.name());
    }
}

#[test]
fn every_service_and_method_says_what_it_does_and_whether_it_may_be_repeated() {
    for file in files() {
        let comments = file.source_code_info.as_ref().unwrap();
        let documented = |path: &[i32]| {
            let location = comments
                .location
                .iter()
                .find(|location| location.path == path);
            location.is_some_and(|location| !location.leading_comments().trim().is_empty())
        };
        for (s, service) in (0_i32..).zip(&file.service) {
            let explained = documented(&[6, s]) || service.method.len() == 1;
            assert!(
                explained,
                "{}: {} has no comment",
                file.name(),
                service.name()
            );
            for (m, method) in (0_i32..).zip(&service.method) {
                let name = format!("{}.{}", service.name(), method.name());
                assert!(is_pascal(method.name()), "{name}");
                assert!(documented(&[6, s, 2, m]), "{name} has no comment");
                let level = method
                    .options
                    .as_ref()
                    .and_then(|options| options.idempotency_level);
                assert!(
                    level.is_some(),
                    "{name} does not state its idempotency_level"
                );
                let request = method.input_type().rsplit('.').next().unwrap();
                assert_eq!(request, format!("{}Request", method.name()), "{name}");
            }
        }
    }
}

#[test]
fn messages_and_fields_are_named_and_numbered_by_the_rules() {
    fn check(file: &str, message: &DescriptorProto) {
        assert!(is_pascal(message.name()), "{file}: {}", message.name());
        let mut numbers = BTreeSet::new();
        for field in &message.field {
            let name = format!("{file}: {}.{}", message.name(), field.name());
            assert!(is_snake(field.name()), "{name}");
            assert!(numbers.insert(field.number()), "{name}: number used twice");
            assert!(
                (1..=15).contains(&field.number()),
                "{name}: numbers above 15 cost a byte more"
            );
            assert!(!matches!(field.r#type(), Type::Group), "{name}");
        }
        message
            .nested_type
            .iter()
            .for_each(|nested| check(file, nested));
        message
            .enum_type
            .iter()
            .for_each(|nested| check_enum(file, nested));
    }
    for file in files() {
        file.message_type
            .iter()
            .for_each(|message| check(file.name(), message));
        file.enum_type
            .iter()
            .for_each(|listed| check_enum(file.name(), listed));
    }
}

fn check_enum(file: &str, listed: &EnumDescriptorProto) {
    let mut prefix = String::new();
    for (i, c) in listed.name().chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            prefix.push('_');
        }
        prefix.push(c.to_ascii_uppercase());
    }
    for value in &listed.value {
        assert!(
            value.name().starts_with(&prefix),
            "{file}: {}",
            value.name()
        );
    }
    let zero = listed
        .value
        .iter()
        .find(|value| value.number() == 0)
        .unwrap();
    assert_eq!(zero.name(), format!("{prefix}_UNSPECIFIED"), "{file}");
}
