{# A model's schema is exactly its folder's: no prefix of the target, there is one warehouse a shop. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
