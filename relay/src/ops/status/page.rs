//! Which rows of the status are wanted, as the query of a URL says it.

/// Which part of the tables of devices, images and sessions is wanted: they may have thousands of rows, and the relay serves nobody
/// while they are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many rows of each at most.
    pub limit: usize,
    /// How many devices are left out before them.
    pub skip: usize,
    /// How many images are.
    pub skip_images: usize,
    /// How many sessions are.
    pub skip_sessions: usize,
}

impl Page {
    /// The most rows that are given at once.
    pub const MOST: usize = 1000;

    /// Reads the query of a URL: `limit=20&skip=40`, with `skip_images` and `skip_sessions` too.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_query(query: &str) -> Result<Self, String> {
        let mut page = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (field, value) = match pair.split_once('=') {
                Some(("limit", value)) => (&mut page.limit, value),
                Some(("skip", value)) => (&mut page.skip, value),
                Some(("skip_images", value)) => (&mut page.skip_images, value),
                Some(("skip_sessions", value)) => (&mut page.skip_sessions, value),
                _ => {
                    return Err(format!(
                        "no such parameter: {pair:?}; there are limit, skip, skip_images and skip_sessions"
                    ));
                }
            };
            *field = value.parse().map_err(|_| format!("{pair:?}: give a whole number"))?;
        }
        if page.limit > Self::MOST {
            return Err(format!("limit: give {} at most, and use skip for the rest", Self::MOST));
        }
        Ok(page)
    }

    /// The query that [`Page::from_query`] reads.
    pub(crate) fn to_query(self) -> String {
        let Self { limit, skip, skip_images, skip_sessions } = self;
        let mut query = format!("limit={limit}");
        for (name, value) in [("skip", skip), ("skip_images", skip_images), ("skip_sessions", skip_sessions)]
        {
            if value > 0 {
                query += &format!("&{name}={value}");
            }
        }
        query
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 100, skip: 0, skip_images: 0, skip_sessions: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_in_a_query() {
        assert_eq!(Page::from_query(""), Ok(Page::default()));
        let page = Page { limit: 5, skip: 10, skip_images: 20, skip_sessions: 30 };
        assert_eq!(page.to_query(), "limit=5&skip=10&skip_images=20&skip_sessions=30");
        for page in [page, Page { skip: 0, ..page }, Page::default()] {
            assert_eq!(Page::from_query(&page.to_query()), Ok(page));
        }
        for query in ["limit=1001", "limit=-1", "limit", "colour=1", "skip=x"] {
            assert!(Page::from_query(query).is_err(), "{query}");
        }
    }
}
