{# Valid rows of a score table: of the newest published date, or of every published date. #}
{% macro published(table, question=none, is_history=false) -%}
with

publications as (

    select
        as_of_date,
        publication_id

    from {{ source('ops', 'publications') }}
    where question = '{{ question or table }}'
    {%- if not is_history %}
    order by as_of_date desc
    limit 1
    {%- endif %}

)

select scores.*

from publications
inner join {{ source('scores', table) }} as scores
    on
        publications.as_of_date = scores.as_of_date
        and publications.publication_id = scores.publication_id
{%- endmacro %}


{# A query's rows with the name and family of their product, as they are now. #}
{% macro with_product_names(query) -%}
select
    named.*,
    products.product_name,
    products.product_family

from (
{{ query }}
) as named
left join {{ ref('dim_products') }} as products on named.product_id = products.product_id
{%- endmacro %}
