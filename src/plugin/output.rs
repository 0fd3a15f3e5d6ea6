//! The formats of `-o`.

use std::ffi::OsStr;

use clap::{
    Arg, Command, ValueEnum,
    builder::{EnumValueParser, PossibleValue, TypedValueParser},
    error::ErrorKind,
};

use super::jsonpath::Template;

/// How the format of a template begins.
const JSONPATH: &str = "jsonpath=";

/// A format of `-o`.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputFormat {
    Json,
    Yaml,
    Name,
    Wide,
    /// A template that is filled in with what `Json` prints.
    JsonPath(Template),
}

/// The formats that are one word.
#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// JSON.
    Json,
    /// The same as YAML.
    Yaml,
    /// `pod/NAME`.
    Name,
    /// A table with more columns.
    Wide,
}

impl OutputFormat {
    /// Whether programs read it, and everything is one value.
    #[must_use]
    pub fn is_structured(&self) -> bool {
        matches!(self, Self::Json | Self::Yaml | Self::JsonPath(_))
    }
}

/// Reads a format.
#[derive(Clone)]
pub(super) struct OutputFormatParser;

impl TypedValueParser for OutputFormatParser {
    type Value = OutputFormat;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<OutputFormat, clap::Error> {
        let template = value.to_str().and_then(|text| text.strip_prefix(JSONPATH));
        let template = template.filter(|template| !template.is_empty());
        if let Some(template) = template {
            return match Template::parse(template) {
                Ok(template) => Ok(OutputFormat::JsonPath(template)),
                Err(mistake) => {
                    let why = format!("parsing jsonpath {template}: {mistake}");
                    Err(command.clone().error(ErrorKind::ValueValidation, why))
                }
            };
        }
        // The words are the formats that are listed where another one is written.
        let word = EnumValueParser::<FormatName>::new().parse_ref(command, arg, value)?;
        Ok(match word {
            FormatName::Json => OutputFormat::Json,
            FormatName::Yaml => OutputFormat::Yaml,
            FormatName::Name => OutputFormat::Name,
            FormatName::Wide => OutputFormat::Wide,
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = FormatName::value_variants().iter();
        let words = words.filter_map(ValueEnum::to_possible_value);
        let template = PossibleValue::new(JSONPATH).help("A template, filled in with the JSON");
        Some(Box::new(words.chain([template])))
    }
}
