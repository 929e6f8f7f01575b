//! `/.well-known/core` (RFC 6690): the routes, and every image at hand with its size and Content-Format.

use crate::config::Route;
use crate::resources::Resource;
use sixfold_profile::coap::{Message, option};
use std::fmt::Write;

/// The resource type of a route: a place where firmware can be fetched.
const RT_ROUTE: &str = "sixfold.route";
/// The resource type of an image.
const RT_IMAGE: &str = "sixfold.image";

struct Link {
    href: String,
    attributes: Vec<(&'static str, String)>,
}

/// The links that match the query of `message`, in link-format. Empty when none does.
pub(crate) fn links<'r>(
    routes: &[Route],
    resources: impl Iterator<Item = &'r Resource>,
    message: &Message<'_>,
) -> String {
    let mut links: Vec<Link> = resources.filter_map(image_link).collect();
    links.extend(routes.iter().map(route_link));
    links.sort_by(|a, b| a.href.cmp(&b.href));
    links.retain(|link| filters(message).all(|filter| matches(link, filter)));
    write_links(&links)
}

/// The routes alone, in link-format: what is always there.
pub fn route_links(routes: &[Route]) -> String {
    write_links(&routes.iter().map(route_link).collect::<Vec<_>>())
}

fn write_links(links: &[Link]) -> String {
    let mut text = String::new();
    for link in links {
        let _ = write!(text, "{}<{}>", if text.is_empty() { "" } else { "," }, link.href);
        for (name, value) in &link.attributes {
            let _ = match *name {
                "obs" => write!(text, ";obs"),
                "ct" | "sz" => write!(text, ";{name}={value}"),
                _ => write!(text, ";{name}=\"{value}\""),
            };
        }
    }
    text
}

fn route_link(route: &Route) -> Link {
    let href = route.path.iter().fold(String::new(), |href, segment| href + "/" + segment);
    Link { href: if href.is_empty() { "/".into() } else { href }, attributes: vec![("rt", RT_ROUTE.into())] }
}

fn image_link(resource: &Resource) -> Option<Link> {
    let (path, current) = (resource.path.as_ref()?, resource.current.as_ref()?);
    let mut attributes =
        vec![("rt", RT_IMAGE.into()), ("sz", current.length.to_string()), ("obs", String::new())];
    if let Some(content_format) = current.content_format {
        attributes.insert(1, ("ct", content_format.to_string()));
    }
    Some(Link { href: path.clone(), attributes })
}

fn filters<'a>(message: &Message<'a>) -> impl Iterator<Item = &'a [u8]> {
    message.options().filter(|opt| opt.number == option::URI_QUERY).map(|opt| opt.value)
}

/// RFC 6690 §4.1: `name=value` with an optional `*` at the end; a relation type list matches by any of its
/// members.
fn matches(link: &Link, filter: &[u8]) -> bool {
    let Some((name, pattern)) = std::str::from_utf8(filter).ok().and_then(|filter| filter.split_once('='))
    else {
        return true;
    };
    let fits = |value: &str| match pattern.strip_suffix('*') {
        Some(prefix) => value.starts_with(prefix),
        None => value == pattern,
    };
    if name == "href" {
        return fits(&link.href);
    }
    let values = link.attributes.iter().filter(|(attribute, _)| *attribute == name);
    values.flat_map(|(_, value)| value.split(' ')).any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_profile::coap::{Code, Type, Writer};

    fn query(filter: &str) -> String {
        let mut buffer = [0; 128];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 1, &[]).unwrap();
        if !filter.is_empty() {
            writer.option(option::URI_QUERY, filter.as_bytes()).unwrap();
        }
        let length = writer.finish();
        let routes = ["fw", "other"].map(|path| Route {
            path: vec![path.into()],
            origin: String::new(),
            require_session: None,
        });
        links(&routes, std::iter::empty(), &Message::parse(&buffer[..length]).unwrap())
    }

    #[test]
    fn filters_by_attribute_and_prefix() {
        let (fw, other) = ("</fw>;rt=\"sixfold.route\"", "</other>;rt=\"sixfold.route\"");
        assert_eq!(query(""), format!("{fw},{other}"));
        assert_eq!(query("href=/o*"), other);
        assert_eq!(query("rt=sixfold.route"), format!("{fw},{other}"));
        assert_eq!(query("rt=sixfold*"), format!("{fw},{other}"));
        assert_eq!(query("rt=sixfold"), "");
        assert_eq!(query("ct=40"), "");
    }
}
