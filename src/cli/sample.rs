//! Items as the contract has them.

use scotoma_client::v1;

use crate::benchmark::Item;

/// Returns `item` as Evaluate takes it.
pub(super) fn sample(item: Item) -> v1::Sample {
    let substitutes = item.substitutes.into_iter().map(|(name, pictures)| {
        let images = images(pictures);
        (name, v1::Pictures { images })
    });
    v1::Sample {
        id: item.id,
        images: images(item.images),
        question: item.question,
        hint: item.hint,
        options: item.options,
        answer: item.answer,
        category: item.category,
        group: item.group,
        fields: item.fields.into_iter().collect(),
        substitutes: substitutes.collect(),
    }
}

fn images(pictures: Vec<Vec<u8>>) -> Vec<v1::Image> {
    let sources = pictures.into_iter().map(v1::image::Source::Data).map(Some);
    sources.map(|source| v1::Image { source }).collect()
}
