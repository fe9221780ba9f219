//! The parts of the OpenAPI document that operations share. Handlers refer to them; [`completed`]
//! adds the referenced components, and the response headers.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use event_contract::Identifier;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{
    Components, ContentBuilder, HeaderBuilder, OpenApi, Ref, RefOr, Required, Response,
    ResponseBuilder,
};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::answer::Acknowledgement;
use crate::conditions;
use crate::consistency::MIN_POSITION;
use crate::idempotency::IDEMPOTENCY_KEY;
use crate::legacy::LegacyKey;
use crate::listing::{DateBound, ListCursor};
use crate::paging::{Cursor, Limit};
use crate::problem::{FieldError, MEDIA_TYPE, ProblemDocument};

/// The errors of a list.
pub struct ListProblems;
/// The errors of a list that can be sorted.
pub struct SortedListProblems;
/// The errors of reading one resource.
pub struct ReadProblems;
/// The errors of a command.
pub struct CommandProblems;

/// The response 304 to `If-None-Match`.
pub struct NotModified;

/// The headers of a command: `Idempotency-Key`.
pub struct CommandHeaders;
/// The header `If-Match` of a command on an existing resource.
pub struct IfMatchHeader;
/// The headers of a read: `Bascule-Min-Position`.
pub struct ReadHeaders;
/// The header `If-None-Match` of a read of one resource.
pub struct IfNoneMatchHeader;

/// The path parameter `id`: the resource's id.
pub struct IdOf<I>(PhantomData<I>);
/// The parameters of a command on an existing resource: its id, `Idempotency-Key` and `If-Match`.
pub struct CommandOn<I>(PhantomData<I>);
/// The parameters of a read of one resource: its id, `Bascule-Min-Position` and `If-None-Match`.
pub struct ReadOf<I>(PhantomData<I>);

/// Status, component name, and description.
const PROBLEMS: [(&str, &str, &str); 11] = [
    ("400", "BadRequest", "The body is not JSON, or a parameter is invalid."),
    (
        "403",
        "Forbidden",
        "The server does not accept the host of the request, or a page of another origin sent \
         the request.",
    ),
    ("404", "NotFound", "The resource does not exist."),
    ("408", "RequestTimeout", "The body did not arrive in time."),
    (
        "409",
        "Conflict",
        "A business rule forbids the command, or the legacy system owns the resource.",
    ),
    (
        "412",
        "PreconditionFailed",
        "The resource is not at the revision of If-Match, or the log does not have the event of \
         Bascule-Min-Position.",
    ),
    ("413", "PayloadTooLarge", "The body is too large."),
    ("415", "UnsupportedMediaType", "The body is not application/json."),
    (
        "422",
        "UnprocessableContent",
        "Fields of the body are invalid, a business rule forbids their values, the \
         Idempotency-Key was used for another request, or the cursor belongs to another list.",
    ),
    ("500", "InternalServerError", "Internal server error. The server's log has the details."),
    (
        "503",
        "ServiceUnavailable",
        "Temporarily unavailable: the server is overloaded, the order backlog is too old, a \
         dependency does not respond, or a read is stale. Retry.",
    ),
];

fn problems(statuses: &[&str]) -> BTreeMap<String, RefOr<Response>> {
    PROBLEMS
        .iter()
        .filter(|(status, ..)| statuses.contains(status))
        .map(|(status, name, _)| ((*status).to_owned(), Ref::from_response_name(*name).into()))
        .collect()
}

impl IntoResponses for ListProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["400", "403", "412", "500", "503"])
    }
}

impl IntoResponses for SortedListProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["400", "403", "412", "422", "500", "503"])
    }
}

impl IntoResponses for ReadProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["400", "403", "404", "412", "500", "503"])
    }
}

impl IntoResponses for CommandProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["400", "403", "404", "408", "409", "412", "413", "415", "422", "500", "503"])
    }
}

impl IntoResponses for NotModified {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([("304".to_owned(), Ref::from_response_name("NotModified").into())])
    }
}

fn header(name: &str, description: &str, schema: ObjectBuilder) -> Vec<Parameter> {
    vec![
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema))
            .build(),
    ]
}

impl IntoParams for CommandHeaders {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]{1,255}$"))
            .examples(["8e03978e-40d5-43dd-bc93-6894a57f9324"]);
        let description = "Makes the request safe to repeat: requests with the same key execute the \
                           command once. Keys are stored for seven days.";
        header(IDEMPOTENCY_KEY, description, schema)
    }
}

impl IntoParams for IfMatchHeader {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(conditions::PATTERN))
            .examples([r#""3""#]);
        let description = "The resource's entity tag as known to the caller, or a list of entity tags; \
                           412 if none has the current revision. Weak tags never match. The \
                           quotes around a revision may be omitted.";
        header("If-Match", description, schema)
    }
}

impl IntoParams for ReadHeaders {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[0-9]{1,18}(-[0-9a-f]{8})?$"))
            .examples(["340-0d3e2b10"]);
        let description = "The Bascule-Position of an earlier response: the read waits until it \
                           includes the events of that response. 412 if the log has not reached \
                           the position, or has another event there because it went back to an earlier state.";
        header(MIN_POSITION, description, schema)
    }
}

impl IntoParams for IfNoneMatchHeader {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema =
            ObjectBuilder::new().schema_type(Type::String).examples([r#""3-Vt5rZ1yq8mQx0aLc""#]);
        let description = "The entity tags of the caller's copies; 304 if one of them is that of the \
                           current representation.";
        header("If-None-Match", description, schema)
    }
}

impl<I: Identifier> IntoParams for IdOf<I> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
        vec![
            ParameterBuilder::new()
                .name("id")
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(format!("The {}", I::KIND)))
                .schema(Some(schema))
                .build(),
        ]
    }
}

impl<I: Identifier> IntoParams for CommandOn<I> {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        [IdOf::<I>::into_params(&place), CommandHeaders::into_params(&place)]
            .into_iter()
            .chain([IfMatchHeader::into_params(&place)])
            .flatten()
            .collect()
    }
}

impl<I: Identifier> IntoParams for ReadOf<I> {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        [IdOf::<I>::into_params(&place), ReadHeaders::into_params(&place)]
            .into_iter()
            .chain([IfNoneMatchHeader::into_params(&place)])
            .flatten()
            .collect()
    }
}

/// Returns the document of all routes with the components that the shared parts refer to.
pub fn completed(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    add_schema::<ProblemDocument>(components, "Problem");
    add_schema::<FieldError>(components, &FieldError::name());
    add_schema::<Acknowledgement>(components, &Acknowledgement::name());
    add_schema::<Limit>(components, &Limit::name());
    add_schema::<Cursor>(components, &Cursor::name());
    add_schema::<ListCursor>(components, &ListCursor::name());
    add_schema::<DateBound>(components, &DateBound::name());
    add_schema::<LegacyKey>(components, &LegacyKey::name());
    for (status, name, description) in PROBLEMS {
        components.responses.insert(name.to_owned(), problem(status, description).into());
    }
    let not_modified = ResponseBuilder::new()
        .description("The caller's copy is current.")
        .header("ETag", text_header("The entity tag of the caller's copy."))
        .build();
    components.responses.insert("NotModified".to_owned(), not_modified.into());
    refer_to_items(components);
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.post, &mut path.put, &mut path.delete];
        operations.into_iter().flatten().for_each(describe_headers);
    }
    document
}

/// Adds the headers that follow from an operation's responses: those of [`Done`](crate::Done) to an
/// acknowledgement, the link to the next page to a page, the entity tag if 304 is possible.
fn describe_headers(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    let has_entity_tag = responses.contains_key("304");
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        let Some(RefOr::T(json)) = response.content.get("application/json") else { continue };
        let Some(RefOr::Ref(body)) = &json.schema else { continue };
        let body = body.ref_location.trim_start_matches("#/components/schemas/");
        let mut headers = Vec::new();
        if body == Acknowledgement::name() {
            headers.push(("ETag", "The current revision, for If-Match"));
            headers.push(("Bascule-Position", "For Bascule-Min-Position"));
            if status == "201" {
                headers.push(("Location", "The new resource"));
            }
        } else if body.starts_with("Page_") {
            headers.push(("Link", "The next page, if there is one"));
        } else if status == "200" && has_entity_tag {
            headers.push(("ETag", "The resource's entity tag"));
        }
        for (name, description) in headers {
            response.headers.insert(name.to_owned(), text_header(description).into());
        }
    }
}

/// Makes every page refer to the schema of its items instead of repeating it, so that a generated
/// client has a single type per item.
fn refer_to_items(components: &mut Components) {
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for name in names {
        let Some(item) = name.strip_prefix("Page_") else { continue };
        if !components.schemas.contains_key(item) {
            continue;
        }
        if let Some(RefOr::T(Schema::Object(page))) = components.schemas.get_mut(&name)
            && let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items")
        {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

fn add_schema<T: ToSchema>(components: &mut Components, name: &str) {
    components.schemas.entry(name.to_owned()).or_insert_with(T::schema);
}

fn problem(status: &str, description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description).content(MEDIA_TYPE, content);
    let response = match status {
        "503" => response.header("Retry-After", text_header("Seconds to wait.")),
        _ => response,
    };
    response.build()
}

fn text_header(description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(description))
        .build()
}
